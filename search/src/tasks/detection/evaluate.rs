//! Measuring a detector on labelled images.

use super::report::DetectionReport;
use crate::error::SearchError;
use crate::loader::byte_tensor;
use crate::tasks::task::{Measured, TaskReport};
use caf_eval::detection::{ImageRecord, Label};
use caf_geometry::{Detection, Letterbox, NmsScratch, NmsSettings, nms_into};
use caf_net::zoo::pipeline::letterbox_graph;
use caf_torch::{Mode, Params, forward, only};
use caf_weights::Weights;
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

/// What was detected on every image, best first, in pixels of the image and clipped to it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Detected {
    /// By image.
    by_image: Vec<Vec<Detection>>,
    /// Rows of the network's output that were left out because they were no numbers.
    not_finite: usize,
}

/// Runs the network on all images.
///
/// Images are letterboxed to one size by the ops that the vehicle runs ([`letterbox_graph`]): what is measured here is what an
/// exported model finds. The original's validation shrinks by area and pads less; its results differ by some tenths of a point.
///
/// # Errors
/// When an image cannot be read, or `params` do not fit the network; [`SearchError::Interrupted`] when asked to stop before the last image.
fn detect(of: &Measured<'_>, nms: &NmsSettings) -> Result<Detected, SearchError> {
    let &Measured { graph, params, images, size, batch, progress, stop } = of;
    let letterbox = letterbox_graph(size)?;
    let none = Params::from_weights(&letterbox, &Weights::new(), params.device(), Kind::Float)?;
    let classes = images.classes().len();
    let mut found = Detected::default();
    let all: Vec<usize> = (0..images.len()).collect();
    progress.begin("detect", images.len() as u64, 0);
    for indices in all.chunks(batch.max(1)) {
        if stop.is_raised() {
            return Err(SearchError::Interrupted);
        }
        let loaded = indices.par_iter().map(|index| images.load(*index)).collect::<Result<Vec<_>, SearchError>>()?;
        let letterboxes =
            loaded.iter().map(|pixels| Letterbox::within(pixels.image.size(), size)).collect::<Result<Vec<_>, _>>()?;
        let rows = tch::no_grad(|| -> Result<Vec<f32>, SearchError> {
            let mut fitted = Vec::with_capacity(loaded.len());
            for pixels in &loaded {
                let image = byte_tensor(&pixels.image, params.device())?;
                fitted.extend(forward(&letterbox, &none, &[&image], Mode::Eval)?);
            }
            let input = Tensor::f_cat(&fitted, 0)?;
            let predictions = only(forward(graph, params, &[&input], Mode::Eval)?)?;
            let flat = predictions.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([-1])?;
            Ok(Vec::try_from(flat)?)
        })?;
        let of_image = rows.len() / indices.len();
        let suppressed = rows
            .par_chunks_exact(of_image.max(1))
            .zip(&letterboxes)
            .map_init(NmsScratch::default, |scratch, (rows, letterbox)| {
                let mut kept = Vec::new();
                let counts = nms_into(rows, classes, nms, scratch, &mut kept)?;
                letterbox.detections_to_source(&mut kept);
                Ok((kept, counts.not_finite))
            })
            .collect::<Result<Vec<_>, SearchError>>()?;
        for (kept, not_finite) in suppressed {
            found.by_image.push(kept);
            found.not_finite += not_finite;
        }
        progress.advance(found.by_image.len() as u64, "images");
    }
    progress.end();
    Ok(found)
}

/// Measures a detector by the rules of YOLOv5, detections in ignore regions not counted.
///
/// Boxes are compared in pixels of the images. The network's classes are those of the images, by number.
///
/// # Errors
/// See [`detect`].
pub(super) fn evaluate(of: &Measured<'_>, nms: &NmsSettings) -> Result<TaskReport, SearchError> {
    let Detected { by_image, not_finite } = detect(of, nms)?;
    let images = of.images;
    let records: Vec<ImageRecord> = images
        .images()
        .iter()
        .zip(by_image)
        .map(|(image, detections)| {
            let bbox = |l: &caf_image::Label| l.to_pixels(image.size);
            let labels = image.labels.iter().map(|l| Label { class: l.class, bbox: bbox(l) }).collect();
            ImageRecord { labels, ignore: image.ignore.iter().map(bbox).collect(), detections }
        })
        .collect();
    Ok(DetectionReport::of(&records, images.classes(), not_finite)?.summed_up())
}
