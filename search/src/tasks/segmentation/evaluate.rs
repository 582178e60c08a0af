//! Measuring a segmentation network on images with class masks.

use super::settings::KIND;
use crate::error::SearchError;
use crate::loader::TaskImages;
use crate::tasks::own_size::at_own_size;
use crate::tasks::task::{Measured, TaskReport};
use caf_eval::segmentation::{CONVENTIONS, ConfusionMatrix, Report, percent};
use caf_image::IGNORED_LABEL;
use serde::Serialize;

/// Results on a set of images.
#[derive(Debug, Serialize)]
struct SegmentationReport {
    /// Images measured.
    images: usize,
    /// Pixels whose label is not ignored.
    pixels: u64,
    /// Mean intersection over union by the first convention; none when no pixel is labelled.
    miou: Option<f64>,
    /// Mean accuracy.
    macc: Option<f64>,
    /// Every class.
    classes: Vec<ClassReport>,
    /// All conventions' numbers.
    conventions: Vec<Report>,
}

/// Results of one class by the first convention.
#[derive(Debug, Serialize)]
struct ClassReport {
    /// Its name.
    name: String,
    /// Pixels labelled as it.
    pixels: u64,
    /// Intersection over union; none without labelled or predicted pixels.
    iou: Option<f64>,
    /// Share of its pixels that are found; none without any.
    accuracy: Option<f64>,
}

/// Compares the class map of every image with its mask.
///
/// # Errors
/// As [`at_own_size`].
pub(super) fn evaluate(of: &Measured<'_>) -> Result<TaskReport, SearchError> {
    let mut counted = ConfusionMatrix::new(of.images.classes().len(), Some(IGNORED_LABEL));
    at_own_size(of, "segment", |_, image, map| {
        let Some(mask) = &image.mask else { return Ok(()) };
        let predicted = Vec::<u8>::try_from(map.f_contiguous()?.f_view([-1])?)?;
        Ok(counted.accumulate(mask.data(), &predicted)?)
    })?;
    Ok(summed_up(&counted, of.images))
}

fn summed_up(counted: &ConfusionMatrix, images: &TaskImages) -> TaskReport {
    let conventions: Vec<Report> = CONVENTIONS.iter().map(|convention| convention.report(counted)).collect();
    let first = conventions.first();
    let of_class = |column: fn(&Report) -> &[Option<f64>], class: usize| {
        first.and_then(|report| column(report).get(class).copied().flatten())
    };
    let classes = images.classes().iter().enumerate().map(|(class, name)| ClassReport {
        name: name.clone(),
        pixels: counted.labelled(class),
        iou: of_class(|report| &report.iou.classes, class),
        accuracy: of_class(|report| &report.accuracy.classes, class),
    });
    let (miou, macc) = (first.and_then(Report::miou), first.and_then(Report::macc));
    let all_accuracy = first.and_then(|report| report.all_accuracy);
    let (images, pixels, classes) = (images.len(), counted.total(), classes.collect());
    let report = SegmentationReport { images, pixels, miou, macc, classes, conventions };
    TaskReport {
        kind: KIND,
        scores: [miou, macc, all_accuracy].map(|score| score.unwrap_or(f64::NAN)).to_vec(),
        by_class: report.classes.iter().map(|class| class.iou).collect(),
        // Without any labelled pixel no network is better than another.
        fitness: miou.unwrap_or(0.0),
        table: table(&report, all_accuracy),
        // A plain value always has a JSON form.
        details: serde_json::to_value(&report).unwrap_or_default(),
    }
}

/// For people, percent.
fn table(report: &SegmentationReport, all_accuracy: Option<f64>) -> String {
    let row = |name: &str, pixels: String, iou: String, accuracy: String| {
        format!("{name:<16} {pixels:>12} {iou:>7} {accuracy:>7}\n")
    };
    let mut text = row("class", "pixels".into(), "IoU".into(), "Acc".into());
    for class in &report.classes {
        text += &row(&class.name, class.pixels.to_string(), percent(class.iou), percent(class.accuracy));
    }
    text += &row("mean", report.pixels.to_string(), percent(report.miou), percent(report.macc));
    text + &format!("{} of all labelled pixels are right\n", percent(all_accuracy))
}
