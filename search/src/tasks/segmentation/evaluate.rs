//! Measuring a segmentation network on images with class masks.

use super::loss::resized;
use super::settings::KIND;
use crate::error::SearchError;
use crate::loader::{TaskImages, unit_tensor};
use crate::tasks::task::TaskReport;
use caf_console::{Progress, StopFlag};
use caf_data::image_file::MASK_IGNORED;
use caf_eval::segmentation::{CONVENTIONS, ConfusionMatrix, Report, percent};
use caf_geometry::{Letterbox, LetterboxPainter};
use caf_net::Graph;
use caf_torch::{Mode, Params, forward};
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

/// Runs the network (RGB in [0, 1] to class scores) on all images and compares the class of every pixel with their masks.
///
/// Images are letterboxed to one size; the scores are resampled to it, the border is cut off, and what is left is resampled to the
/// image's own size, both bilinear, before the largest is taken.
///
/// # Errors
/// When an image cannot be read, or `params` do not fit the network; [`SearchError::Interrupted`] when asked to stop before the last
/// image.
pub(super) fn evaluate(
    graph: &Graph,
    params: &Params,
    images: &TaskImages,
    size_px: [usize; 2],
    batch: usize,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<TaskReport, SearchError> {
    let [width, height] = size_px;
    let frame = width * height * 3;
    let mut counted = ConfusionMatrix::new(images.classes().len(), Some(MASK_IGNORED));
    let all: Vec<usize> = (0..images.len()).collect();
    progress.begin("segment", images.len() as u64, 0);
    let mut done = 0;
    for indices in all.chunks(batch.max(1)) {
        if stop.is_raised() {
            return Err(SearchError::Interrupted);
        }
        let mut bytes = vec![0u8; indices.len() * frame];
        let loaded = bytes
            .par_chunks_exact_mut(frame)
            .zip(indices)
            .map(|(out, index)| {
                let pixels = images.load(*index)?;
                let image = &pixels.image;
                let geometry = Letterbox::new(image.height(), image.width(), height, width, true)?;
                LetterboxPainter::new(geometry, 3)?.paint(image.data(), image.width() * 3, out)?;
                Ok((geometry, pixels))
            })
            .collect::<Result<Vec<_>, SearchError>>()?;
        let input = unit_tensor(&bytes, [indices.len(), height, width], params.device())?;
        let predicted = tch::no_grad(|| -> Result<Vec<Vec<u8>>, SearchError> {
            let outputs = forward(graph, params, &[&input], Mode::Eval)?;
            let logits = outputs.first().ok_or(tch::TchError::Shape("a network without output".into()))?;
            let scores = resized(logits, [height, width])?;
            (0..).zip(&loaded).map(|(i, (geometry, _))| classes(&scores.f_narrow(0, i, 1)?, geometry)).collect()
        })?;
        for ((_, pixels), predicted) in loaded.iter().zip(&predicted) {
            if let Some(mask) = &pixels.mask {
                counted.accumulate(mask.data(), predicted)?;
            }
        }
        done += indices.len();
        progress.advance(done as u64, "images");
    }
    progress.end();
    Ok(summed_up(&counted, images))
}

/// The class of every pixel of an image, row-major, from the scores `[1, classes, h, w]` of its letterbox.
fn classes(scores: &Tensor, geometry: &Letterbox) -> Result<Vec<u8>, SearchError> {
    let ((top, _), (left, _)) = (geometry.top_bottom, geometry.left_right);
    let (h, w) = geometry.resized_hw;
    let inside = scores.f_narrow(2, top as i64, h as i64)?.f_narrow(3, left as i64, w as i64)?;
    let (h, w) = geometry.src_hw;
    let classes = resized(&inside, [h, w])?.f_argmax(1, false)?.f_to_kind(Kind::Uint8)?;
    Ok(Vec::<u8>::try_from(classes.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([-1])?)?)
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
