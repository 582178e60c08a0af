//! `caf-eval segmentation`.

use std::path::{Path, PathBuf};

use caf_console::{Paths, claim, print, write_json};
use caf_eval::segmentation::{CONVENTIONS, Column, ConfusionMatrix, Convention, IGNORED_LABEL, Report, percent};
use caf_geometry::Size;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::failure::{Failure, Offence, Reason};
use crate::folder;
use crate::output;

/// Measure class maps against labelled class maps: IoU and accuracy.
///
/// The values of a map (or, where it has a palette, its indices) are class numbers. The pixels of all images are counted together. Conventions differ
/// in what a class without pixels counts in the means: `mmseg` leaves it out, `mfnet` makes the mean undefined,
/// `mmseg-absent-as-zero` and `mfnet-absent-as-zero` count 0; `mfnet-first-port` is that of early papers.
#[derive(clap::Args)]
#[command(override_usage = "caf-eval segmentation [OPTIONS]
         --labels <DIR> --predictions <DIR> --classes <FILE>")]
#[command(after_help = "Example:
  caf-eval segmentation --labels data/masks --predictions out \\
    --classes data/classes.txt --convention mfnet --json miou.json")]
pub struct Args {
    /// Folder of labelled class maps
    #[arg(long, value_name = "DIR")]
    labels: PathBuf,
    /// Folder of predicted class maps of the same names
    #[arg(long, value_name = "DIR")]
    predictions: PathBuf,
    /// Names of the classes, one a line
    #[arg(long, value_name = "FILE")]
    classes: PathBuf,
    /// How counts become numbers
    #[arg(long, value_name = "NAME", default_value = CONVENTIONS[0].name, value_parser = Convention::named)]
    convention: Convention,
    /// Label of the pixels that do not count
    #[arg(long, value_name = "N", default_value_t = IGNORED_LABEL)]
    ignored: u8,
    /// Evaluate only the names of this list, one a line
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Write the result as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let paths = Paths::default().folder("--labels", args.labels.as_path());
    let paths = paths.folder("--predictions", args.predictions.as_path()).file("--classes", args.classes.as_path());
    paths.file("--names", args.names.as_deref()).writes("--json", args.json.as_deref()).check()?;
    claim(args.json.as_deref())?;
    let mut wrong = vec![];
    let classes = folder::class_names(&args.classes, &mut wrong)?;
    let pairs = find(args, wrong)?;
    let empty = || ConfusionMatrix::new(classes.len(), Some(args.ignored));
    let counted: Vec<Result<ConfusionMatrix, Vec<Offence>>> = pairs
        .par_iter()
        .map(|(label, prediction)| {
            let mut matrix = empty();
            count(label, prediction, &mut matrix).map(|()| matrix)
        })
        .collect();
    let (mut matrix, mut offences) = (empty(), vec![]);
    for result in counted {
        match result {
            Ok(one) => matrix.merge(&one)?,
            Err(found) => offences.extend(found),
        }
    }
    if !offences.is_empty() {
        return Err(Failure::Offences(offences));
    }
    let report = args.convention.report(&matrix);
    write_json(args.json.as_deref(), &to_json(&classes, pairs.len(), &matrix, &report))?;
    Ok(print(&to_text(&classes, pairs.len(), &matrix, &report))?)
}

/// Label and prediction of every name.
fn find(args: &Args, mut offences: Vec<Offence>) -> Result<Vec<(PathBuf, PathBuf)>, Failure> {
    let mut list = |folder: &Path| folder::images(folder, &mut offences);
    let (labels, predictions) = (list(&args.labels)?, list(&args.predictions)?);
    let names = folder::evaluated(args.names.as_deref(), &labels, &predictions, &mut offences)?;
    if names.is_empty() {
        return Err(Failure::Empty { option: "--labels", path: args.labels.clone(), expected: "class maps" });
    }
    let mut pairs = vec![];
    for name in names {
        match (labels.get(&name), predictions.get(&name)) {
            (Some(label), Some(prediction)) => pairs.push((label.clone(), prediction.clone())),
            (label, prediction) => {
                let missing = [("--labels", label), ("--predictions", prediction)];
                let missing = missing.into_iter().filter(|(_, found)| found.is_none());
                offences.extend(missing.map(|(option, _)| Offence::of(&name, Reason::Missing { option })));
            }
        }
    }
    if offences.is_empty() { Ok(pairs) } else { Err(Failure::Offences(offences)) }
}

fn count(label: &Path, prediction: &Path, matrix: &mut ConfusionMatrix) -> Result<(), Vec<Offence>> {
    let mut offences = vec![];
    let mut read = |path: &Path| read_map(path).map_err(|reason| offences.push(Offence::of(path, reason))).ok();
    let (labelled, predicted) = (read(label), read(prediction));
    let (Some((labelled, expected)), Some((predicted, found))) = (labelled, predicted) else { return Err(offences) };
    if expected != found {
        return Err(vec![Offence::of(prediction, Reason::MapSize { expected, found })]);
    }
    matrix.accumulate(&labelled, &predicted).map_err(|error| {
        let of_label = matches!(error, caf_eval::EvalError::PixelClass { what: "label", .. });
        vec![Offence::of(if of_label { label } else { prediction }, error.into())]
    })
}

/// The class numbers of a map and its size.
fn read_map(path: &Path) -> Result<(Vec<u8>, Size), Reason> {
    let map = caf_image::read_mask(path)?;
    let size = Size::new(map.width(), map.height());
    Ok((map.into_data(), size))
}

/// Columns of the report by their names.
fn columns(report: &Report) -> Vec<(&'static str, &Column)> {
    let precision = report.precision.as_ref().map(|column| ("precision", column));
    [("IoU", &report.iou), ("Acc", &report.accuracy)].into_iter().chain(precision).collect()
}

fn to_text(classes: &[String], images: usize, matrix: &ConfusionMatrix, report: &Report) -> String {
    let columns = columns(report);
    let header = ["class", "labelled", "predicted"].into_iter().chain(columns.iter().map(|(name, _)| *name));
    let mut rows = vec![header.map(str::to_owned).collect::<Vec<_>>()];
    for (class, name) in classes.iter().enumerate() {
        let counts = [matrix.labelled(class), matrix.predicted(class)].map(|n| n.to_string());
        let values = columns.iter().map(|(_, column)| percent(column.classes.get(class).copied().flatten()));
        rows.push([name.clone()].into_iter().chain(counts).chain(values).collect());
    }
    let means = columns.iter().map(|(_, column)| percent(column.mean));
    let total = matrix.total().to_string();
    rows.push(["mean".to_owned(), total.clone(), total].into_iter().chain(means).collect());
    format!(
        "{images} images, convention {}, percent\n{}aAcc {}\n",
        report.convention,
        output::table(&rows),
        percent(report.all_accuracy)
    )
}

fn to_json(classes: &[String], images: usize, matrix: &ConfusionMatrix, report: &Report) -> Value {
    json!({
        "images": images,
        "classes": classes,
        "confusion": { "layout": "row labelled, column predicted", "matrix": matrix.rows().collect::<Vec<_>>() },
        "report": report,
        "miou": report.miou(),
        "macc": report.macc(),
    })
}
