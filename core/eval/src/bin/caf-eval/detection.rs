//! `caf-eval detection`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use caf_console::{Paths, claim, print, write_json};
use caf_eval::detection::{ImageRecord, coco, confusion::ConfusionMatrix, yolo};
use caf_geometry::Size;
use serde_json::{Value, json};

use crate::failure::{Failure, Offence, Reason};
use crate::folder::{self, IMAGES, TEXTS};
use crate::{label_file, output};

/// Detections kept per image and class by COCO's rule.
const COCO_LIMIT: usize = 100;

/// Measure the average precision of detections against labels.
///
/// Both the rules of YOLOv5 and those of COCO are applied. Labels are YOLO text files, NAME.txt with lines
/// `class cx cy w h`; predictions have the same form and a sixth column `confidence`; boxes are relative to the image.
/// Every label file is an image, empty when nothing is there. An image without a prediction file counts as one without
/// detections; how many there are is reported. Detections that match no label and lie by half or more in an ignore
/// region are not counted.
#[derive(clap::Args)]
#[command(after_help = "Example:
  caf-eval detection --labels data/labels --predictions out --images data/vi \\
    --names data/val.txt --ignore data/ignore --classes data/classes.txt \\
    --json ap.json")]
pub struct Args {
    /// Folder of label files
    #[arg(long, value_name = "DIR")]
    labels: PathBuf,
    /// Folder of prediction files
    #[arg(long, value_name = "DIR")]
    predictions: PathBuf,
    /// Folder of images of the same names, for their sizes in pixels
    #[arg(long, value_name = "DIR", required_unless_present = "size", conflicts_with = "size")]
    images: Option<PathBuf>,
    /// Size of every image in pixels
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<Size>,
    /// Folder of ignore regions, in the form of labels; a name without a file has none
    #[arg(long, value_name = "DIR")]
    ignore: Option<PathBuf>,
    /// Evaluate only the names of this list, one a line
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Names of the classes, one a line; without it they are numbered
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Write the result as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// All inputs, read and checked.
struct Input {
    images: Vec<ImageRecord>,
    classes: Vec<String>,
    without_predictions: usize,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let paths = Paths::default().folder("--labels", args.labels.as_path());
    let paths = paths.folder("--predictions", args.predictions.as_path()).folder("--images", args.images.as_deref());
    let paths = paths.folder("--ignore", args.ignore.as_deref()).file("--names", args.names.as_deref());
    let paths = paths.file("--classes", args.classes.as_deref());
    paths.writes("--json", args.json.as_deref()).check()?;
    claim(args.json.as_deref())?;
    let input = read(args)?;
    let classes = input.classes.len();
    let report = yolo::evaluate(&input.images, classes)?;
    let matrix = ConfusionMatrix::of(&input.images, classes)?;
    let images: Vec<coco::Image> = input.images.iter().map(coco::Image::from).collect();
    let mut tables = vec![];
    for size in coco::Size::ALL {
        tables.push(coco::evaluate(&images, classes, size, COCO_LIMIT)?);
    }
    write_json(args.json.as_deref(), &to_json(&input, &report, &matrix, &tables))?;
    Ok(print(&to_text(&input, &report, &tables))?)
}

fn read(args: &Args) -> Result<Input, Failure> {
    let mut offences = vec![];
    let mut list = |folder: &Path, extensions| folder::by_name(folder, extensions, &mut offences);
    let labels = list(&args.labels, TEXTS)?;
    let predictions = list(&args.predictions, TEXTS)?;
    let ignore = args.ignore.as_deref().map(|p| list(p, TEXTS)).transpose()?.unwrap_or_default();
    let pictures = args.images.as_deref().map(|p| list(p, IMAGES)).transpose()?.unwrap_or_default();
    let names = match &args.names {
        Some(list) => folder::names(list)?,
        None => {
            // Without a list every prediction must have its labels: a misspelt folder would otherwise look like an AP of 0.
            let stray = predictions.iter().filter(|(name, _)| !labels.contains_key(*name));
            offences.extend(stray.map(|(_, path)| Offence::of(path, Reason::NotEvaluated)));
            labels.keys().cloned().collect()
        }
    };
    if names.is_empty() {
        return Err(Failure::Empty { option: "--labels", path: args.labels.clone(), expected: "NAME.txt files" });
    }
    let (mut images, mut without_predictions) = (vec![], 0);
    for name in &names {
        let Some(label_path) = labels.get(name) else {
            offences.push(Offence::of(name, Reason::Missing { option: "--labels" }));
            continue;
        };
        let Some(hw) = size_of(name, args.size, &pictures, &mut offences) else { continue };
        let mut record =
            ImageRecord { labels: label_file::labels(label_path, hw, &mut offences), ..Default::default() };
        if let Some(path) = ignore.get(name) {
            record.ignore = label_file::labels(path, hw, &mut offences).into_iter().map(|l| l.bbox).collect();
        }
        match predictions.get(name) {
            Some(path) => record.detections = label_file::detections(path, hw, &mut offences),
            None => without_predictions += 1,
        }
        images.push((label_path, predictions.get(name), record));
    }
    let highest = |r: &ImageRecord| r.labels.iter().map(|l| l.class).chain(r.detections.iter().map(|d| d.class)).max();
    let classes = match &args.classes {
        Some(path) => folder::class_names(path)?,
        None => {
            let count = images.iter().filter_map(|(.., r)| highest(r)).max().map_or(0, |c| c as usize + 1);
            (0..count).map(|c| c.to_string()).collect()
        }
    };
    for (labels, predictions, record) in &images {
        let count = classes.len();
        let beyond = |class: u32| (class as usize >= count).then_some(Reason::Class { class, classes: count });
        let wrong = record.labels.iter().find_map(|l| beyond(l.class));
        offences.extend(wrong.map(|reason| Offence::of(*labels, reason)));
        let wrong = record.detections.iter().find_map(|d| beyond(d.class));
        offences.extend(predictions.zip(wrong).map(|(path, reason)| Offence::of(path, reason)));
    }
    if !offences.is_empty() {
        return Err(Failure::Offences(offences));
    }
    if images.iter().all(|(.., r)| r.labels.is_empty()) {
        let expected = "a labelled object in at least one of the images";
        return Err(Failure::Empty { option: "--labels", path: args.labels.clone(), expected });
    }
    let images = images.into_iter().map(|(.., record)| record).collect();
    Ok(Input { images, classes, without_predictions })
}

fn size_of(
    name: &str,
    fixed: Option<Size>,
    pictures: &BTreeMap<String, PathBuf>,
    offences: &mut Vec<Offence>,
) -> Option<(usize, usize)> {
    if let Some(Size { width, height }) = fixed {
        return Some((height, width));
    }
    let Some(path) = pictures.get(name) else {
        offences.push(Offence::of(name, Reason::Missing { option: "--images" }));
        return None;
    };
    match image::image_dimensions(path) {
        Ok((width, height)) => Some((height as usize, width as usize)),
        Err(error) => {
            offences.push(Offence::of(path, error.into()));
            None
        }
    }
}

fn to_text(input: &Input, report: &yolo::Report, tables: &[coco::Table]) -> String {
    let number = |v: f64| format!("{v:.4}");
    let optional = |v: Option<f64>| v.map_or("-".to_owned(), number);
    let all = tables.first();
    let coco_class = |class: u32| all.and_then(|t| t.classes.get(class as usize)?.as_ref());
    let header = ["class", "labels", "precision", "recall", "F1", "AP50", "AP50-95", "COCO AP50", "COCO AP"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for c in &report.classes {
        let name = input.classes.get(c.class as usize).cloned().unwrap_or_default();
        let values = [c.precision, c.recall, c.f1, c.ap50(), c.ap50_95()].map(number);
        let coco = [coco_class(c.class).map(|t| t.ap_at(0)), coco_class(c.class).map(|t| t.ap())].map(optional);
        rows.push([name, c.labels.to_string()].into_iter().chain(values).chain(coco).collect());
    }
    let means = [report.precision, report.recall, report.f1, report.map50, report.map50_95].map(number);
    let coco = [all.and_then(|t| t.ap_at(0)), all.and_then(coco::Table::ap)].map(optional);
    rows.push(["mean".to_owned(), report.labels.to_string()].into_iter().chain(means).chain(coco).collect());
    let sizes: Vec<String> = tables
        .iter()
        .map(|t| format!("{} AP {} AR {}", format!("{:?}", t.size).to_lowercase(), optional(t.ap()), optional(t.ar())))
        .collect();
    format!(
        "{} images ({} without a prediction file), {} detections ({} not counted: ignore regions)\n{}\
         precision, recall and F1 at confidence {:.3}; fitness {:.4}\nCOCO by size: {}\n",
        report.images,
        input.without_predictions,
        report.detections,
        report.ignored,
        output::table(&rows),
        report.best_confidence,
        report.fitness,
        sizes.join("; "),
    )
}

fn to_json(input: &Input, report: &yolo::Report, matrix: &ConfusionMatrix, tables: &[coco::Table]) -> Value {
    let coco: Vec<Value> = tables
        .iter()
        .map(|t| {
            let per_class = |value: fn(&coco::ClassTable) -> f64| -> Vec<Option<f64>> {
                t.classes.iter().map(|c| c.as_ref().map(value)).collect()
            };
            json!({
                "size": t.size, "max_detections": t.max_detections,
                "ap": t.ap(), "ap50": t.ap_at(0), "ap75": t.ap_at(5), "ar": t.ar(),
                "class_ap": per_class(coco::ClassTable::ap), "class_ar": per_class(coco::ClassTable::ar),
            })
        })
        .collect();
    json!({
        "classes": input.classes,
        "images_without_predictions": input.without_predictions,
        "yolov5": report,
        "confusion": { "layout": "row predicted, column true, last is background", "matrix": matrix.rows },
        "coco": coco,
    })
}
