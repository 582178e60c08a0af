//! `caf-eval detection`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use caf_console::{Paths, claim, print, say, write_json};
use caf_eval::detection::{Column, Findings, ImageRecord, RULES};
use caf_geometry::Size;
use caf_image::label::LabelNotes;
use serde_json::{Value, json};

use crate::failure::{Failure, Offence, Reason};
use crate::folder;
use crate::{label_file, output};

/// Measure the average precision of detections against labels.
///
/// Both the rules of YOLOv5 and those of COCO are applied. Labels are YOLO text files, NAME.txt with lines
/// `class cx cy w h`; predictions have the same form and a sixth column `confidence`; boxes are relative to the image.
/// Every label file is an image, empty when nothing is there. An image without a prediction file counts as one without
/// detections; how many there are is reported. Detections that match no label and lie by half or more in an ignore
/// region are not counted.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("sizes").required(true).args(["images", "size"])))]
#[command(override_usage = "caf-eval detection [OPTIONS] --labels <DIR> --predictions <DIR>\n    \
    <--images <DIR>|--size <WIDTHxHEIGHT>>")]
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
    #[arg(long, value_name = "DIR")]
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
    let mut findings = vec![];
    for rule in RULES {
        let mut measure = (rule.start)(input.classes.len());
        input.images.iter().try_for_each(|image| measure.accumulate(image))?;
        findings.push((rule.name, measure.finish()));
    }
    write_json(args.json.as_deref(), &to_json(&input, &findings))?;
    Ok(print(&to_text(&input, &findings))?)
}

fn read(args: &Args) -> Result<Input, Failure> {
    let mut offences = vec![];
    let mut texts = |folder: &Path| folder::texts(folder, &mut offences);
    let (mut labels, predictions) = (texts(&args.labels)?, texts(&args.predictions)?);
    let ignore = args.ignore.as_deref().map(&mut texts).transpose()?.unwrap_or_default();
    let pictures = args.images.as_deref().map(|p| folder::images(p, &mut offences)).transpose()?.unwrap_or_default();
    // Labelling tools leave their own list of classes among the labels.
    if !predictions.contains_key("classes") && !pictures.contains_key("classes") {
        labels.remove("classes");
    }
    let names = folder::evaluated(args.names.as_deref(), &labels, &predictions, &mut offences)?;
    if names.is_empty() {
        return Err(Failure::Empty { option: "--labels", path: args.labels.clone(), expected: "NAME.txt files" });
    }
    let (mut images, mut without_predictions, mut notes) = (vec![], 0, LabelNotes::default());
    for name in &names {
        let Some(label_path) = labels.get(name) else {
            offences.push(Offence::of(name, Reason::Missing { option: "--labels" }));
            continue;
        };
        let Some(hw) = size_of(name, args.size, &pictures, &mut offences) else { continue };
        let mut record =
            ImageRecord { labels: label_file::labels(label_path, hw, &mut notes, &mut offences), ..Default::default() };
        if let Some(path) = ignore.get(name) {
            let regions = label_file::labels(path, hw, &mut notes, &mut offences);
            record.ignore = regions.into_iter().map(|l| l.bbox).collect();
        }
        match predictions.get(name) {
            Some(path) => record.detections = label_file::detections(path, hw, &mut offences),
            None => without_predictions += 1,
        }
        images.push((label_path, predictions.get(name), record));
    }
    let highest = |r: &ImageRecord| r.labels.iter().map(|l| l.class).chain(r.detections.iter().map(|d| d.class)).max();
    let classes = match &args.classes {
        Some(path) => folder::class_names(path, &mut offences)?,
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
    if !notes.is_empty() {
        say!("{}: {notes}", args.labels.display());
    }
    let images = images.into_iter().map(|(.., record)| record).collect();
    Ok(Input { images, classes, without_predictions })
}

fn size_of(
    name: &str,
    fixed: Option<Size>,
    pictures: &BTreeMap<String, PathBuf>,
    offences: &mut Vec<Offence>,
) -> Option<Size> {
    if fixed.is_some() {
        return fixed;
    }
    let Some(path) = pictures.get(name) else {
        offences.push(Offence::of(name, Reason::Missing { option: "--images" }));
        return None;
    };
    match caf_image::image_size(path) {
        Ok(size) => Some(size),
        Err(error) => {
            offences.push(Offence::of(path, error.into()));
            None
        }
    }
}

fn to_text(input: &Input, findings: &[(&str, Findings)]) -> String {
    let cell = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.4}"));
    let columns: Vec<_> = findings.iter().flat_map(|(_, found)| &found.columns).collect();
    let labels = |class: usize| {
        input.images.iter().flat_map(|image| &image.labels).filter(|label| label.class as usize == class).count()
    };
    let header = ["class", "labels"].into_iter().chain(columns.iter().map(|c| c.name));
    let mut rows = vec![header.map(str::to_owned).collect::<Vec<_>>()];
    let row = |name: &str, labels: usize, value: &dyn Fn(&Column) -> Option<f64>| -> Vec<String> {
        let values = columns.iter().map(|column| cell(value(column)));
        [name.to_owned(), labels.to_string()].into_iter().chain(values).collect()
    };
    for (class, name) in input.classes.iter().enumerate().filter(|(class, _)| labels(*class) > 0) {
        rows.push(row(name, labels(class), &|column| column.classes.get(class).copied().flatten()));
    }
    let all = input.images.iter().map(|image| image.labels.len()).sum();
    rows.push(row("mean", all, &|column| column.mean));
    let notes = findings.iter().flat_map(|(_, found)| &found.notes).map(|note| format!("{note}\n"));
    format!(
        "{} images ({} without a prediction file), {} detections\n{}{}",
        input.images.len(),
        input.without_predictions,
        input.images.iter().map(|image| image.detections.len()).sum::<usize>(),
        output::table(&rows),
        notes.collect::<String>(),
    )
}

fn to_json(input: &Input, findings: &[(&str, Findings)]) -> Value {
    let rules = findings.iter().map(|(name, found)| ((*name).to_owned(), found.details.clone()));
    let mut all: serde_json::Map<String, Value> = rules.collect();
    all.insert("classes".to_owned(), json!(input.classes));
    all.insert("images_without_predictions".to_owned(), json!(input.without_predictions));
    Value::Object(all)
}
