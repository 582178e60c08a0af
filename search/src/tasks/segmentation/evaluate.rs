//! Measuring a segmentation network on images with class masks.

use super::settings::KIND;
use crate::error::SearchError;
use crate::loader::{TaskImages, byte_tensor};
use crate::tasks::task::{Measured, TaskReport};
use caf_eval::segmentation::{CONVENTIONS, ConfusionMatrix, Report, percent};
use caf_geometry::Size;
use caf_image::IGNORED_LABEL;
use caf_torch::{Mode, forward, only};
use rayon::prelude::*;
use serde::Serialize;
use tch::{Device, Kind, Tensor};

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

/// Runs the network (RGB in [0, 1] to the class of every pixel) on all images and compares its maps with their masks.
///
/// The network sees every image at its own size, and its map has that size: what an exported model gives on a vehicle is what is
/// measured here. Images of one size that follow each other share a batch.
///
/// # Errors
/// When an image cannot be read, or the parameters do not fit the network; [`SearchError::Interrupted`] when asked to stop before the
/// last image.
pub(super) fn evaluate(of: &Measured<'_>) -> Result<TaskReport, SearchError> {
    let &Measured { graph, params, images, batch, progress, stop, .. } = of;
    let mut counted = ConfusionMatrix::new(images.classes().len(), Some(IGNORED_LABEL));
    let sizes: Vec<Size> = images.images().iter().map(|image| image.size).collect();
    progress.begin("segment", images.len() as u64, 0);
    let mut done = 0;
    for same in sizes.chunk_by(|a, b| a == b) {
        for chunk in same.chunks(batch.max(1)) {
            if stop.is_raised() {
                return Err(SearchError::Interrupted);
            }
            let indices: Vec<usize> = (done..done + chunk.len()).collect();
            let loaded = indices.par_iter().map(|index| images.load(*index)).collect::<Result<Vec<_>, _>>()?;
            let predicted = tch::no_grad(|| -> Result<Vec<u8>, SearchError> {
                let bytes =
                    loaded.iter().map(|p| byte_tensor(&p.image, params.device())).collect::<Result<Vec<_>, _>>()?;
                let input =
                    Tensor::f_cat(&bytes, 0)?.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?;
                let maps = only(forward(graph, params, &[&input], Mode::Eval)?)?;
                let flat = maps.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([-1])?;
                Ok(Vec::<u8>::try_from(flat)?)
            })?;
            let pixels = predicted.len() / chunk.len();
            for (image, predicted) in loaded.iter().zip(predicted.chunks_exact(pixels.max(1))) {
                if let Some(mask) = &image.mask {
                    counted.accumulate(mask.data(), predicted)?;
                }
            }
            done += chunk.len();
            progress.advance(done as u64, "images");
        }
    }
    progress.end();
    Ok(summed_up(&counted, images))
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
