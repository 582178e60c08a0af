//! Measuring a detector on labelled images.

use super::batch::unit_tensor;
use super::config::{TaskConfig, is_input_side};
use super::detector::Detector;
use super::error::TaskError;
use super::images::TaskImages;
use super::log::Scores;
use crate::search::MAX_SIDE_PX;
use caf_detect::{Detection, Letterbox, LetterboxPainter, NmsScratch, NmsSettings, nms_into};
use caf_eval::detection::{ImageRecord, Label, yolo};
use caf_torch::{Mode, Params, forward};
use rayon::prelude::*;
use serde::Serialize;
use tch::{Device, Kind};

/// How a detector is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalSettings {
    /// Width and height of the network input; images are letterboxed into it.
    pub size: (usize, usize),
    /// Images in a batch.
    pub batch: usize,
    /// Suppression.
    pub nms: NmsSettings,
}

impl EvalSettings {
    /// Those of a training's validation.
    pub fn of_training(config: &TaskConfig) -> Self {
        EvalSettings {
            size: (config.image_width_px, config.image_height_px),
            batch: config.validation.batch,
            nms: config.validation.nms.clone(),
        }
    }
}

/// What was detected on every image, best first, in pixels of the image and clipped to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detected {
    /// By image.
    pub by_image: Vec<Vec<Detection>>,
    /// Rows of the network's output that were left out because they were no numbers.
    pub not_finite: usize,
}

/// Runs the network on all images.
///
/// Images are letterboxed to one size with the bilinear resize of OpenCV. The original's validation shrinks by area and pads less;
/// its results differ by some tenths of a point.
///
/// # Errors
/// When the size is none the network takes, an image cannot be read, or `params` do not fit the network.
pub fn detect(
    detector: &Detector,
    params: &Params,
    images: &TaskImages,
    settings: &EvalSettings,
) -> Result<Detected, TaskError> {
    let (width, height) = settings.size;
    if let Some(side) = [width, height].into_iter().find(|side| !is_input_side(*side)) {
        let expected = format!("multiples of 32 up to {MAX_SIDE_PX}");
        return Err(TaskError::Setting { name: "size", expected, found: side.to_string() });
    }
    let classes = detector.config().classes;
    let frame = width * height * 3;
    let mut found = Detected::default();
    let all: Vec<usize> = (0..images.len()).collect();
    for indices in all.chunks(settings.batch.max(1)) {
        let mut pixels = vec![0u8; indices.len() * frame];
        let letterboxes = pixels
            .par_chunks_exact_mut(frame)
            .zip(indices)
            .map(|(out, index)| {
                let image = images.load(*index)?;
                let geometry = Letterbox::new(image.height(), image.width(), height, width, true)?;
                LetterboxPainter::new(geometry, 3)?.paint(image.data(), image.width() * 3, out)?;
                Ok(geometry)
            })
            .collect::<Result<Vec<_>, TaskError>>()?;
        let input = unit_tensor(&pixels, [indices.len(), height, width], params.device())?;
        let rows = tch::no_grad(|| -> Result<Vec<f32>, TaskError> {
            let outputs = forward(detector.graph(), params, &[&input], Mode::Eval)?;
            let predictions = outputs.last().ok_or(tch::TchError::Shape("a graph without outputs".into()))?;
            let flat = predictions.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([-1])?;
            Ok(Vec::try_from(flat)?)
        })?;
        let of_image = rows.len() / indices.len();
        let suppressed = rows
            .par_chunks_exact(of_image.max(1))
            .zip(&letterboxes)
            .map_init(NmsScratch::default, |scratch, (rows, letterbox)| {
                let mut kept = Vec::new();
                let counts = nms_into(rows, classes, &settings.nms, scratch, &mut kept)?;
                let (h, w) = letterbox.src_hw;
                for d in &mut kept {
                    *d = d.with_box(letterbox.box_to_source(d.xyxy()).clip(h, w));
                }
                Ok((kept, counts.not_finite))
            })
            .collect::<Result<Vec<_>, TaskError>>()?;
        for (kept, not_finite) in suppressed {
            found.by_image.push(kept);
            found.not_finite += not_finite;
        }
    }
    Ok(found)
}

/// Results on a set of images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DetectionReport {
    /// Images measured.
    pub images: usize,
    /// Labelled objects.
    pub labels: usize,
    /// Detections on all images.
    pub detections: usize,
    /// Detections without a label at IoU 0.5 that lie in an ignore region and are not counted.
    pub ignored: usize,
    /// Rows of the network's output that were no numbers; above 0 the network is broken.
    pub not_finite: usize,
    /// Mean precision over the classes that have labels, at the confidence with the best mean F1.
    pub precision: f64,
    /// Mean recall there.
    pub recall: f64,
    /// Mean average precision at IoU 0.5.
    pub map50: f64,
    /// Mean over classes of the average precisions at IoU 0.5, 0.55 … 0.95.
    pub map50_95: f64,
    /// Every class, in the order of its number.
    pub classes: Vec<ClassReport>,
}

/// Results of one class. Without labels there are no scores.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassReport {
    /// Its name.
    pub name: String,
    /// Labelled objects.
    pub labels: usize,
    /// Precision.
    pub precision: Option<f64>,
    /// Recall.
    pub recall: Option<f64>,
    /// Average precision at IoU 0.5.
    pub ap50: Option<f64>,
    /// Mean of the average precisions at IoU 0.5, 0.55 … 0.95.
    pub ap50_95: Option<f64>,
}

impl DetectionReport {
    /// The means.
    pub fn scores(&self) -> Scores {
        Scores { precision: self.precision, recall: self.recall, map50: self.map50, map50_95: self.map50_95 }
    }
}

/// Measures a detector by the rules of YOLOv5, detections in ignore regions not counted.
///
/// Boxes are compared in pixels of the images. The network's classes are those of the images, by number.
///
/// # Errors
/// [`TaskError::ClassCount`] when the network has another number of classes; see [`detect`] for the rest.
pub fn evaluate_task(
    detector: &Detector,
    params: &Params,
    images: &TaskImages,
    settings: &EvalSettings,
) -> Result<DetectionReport, TaskError> {
    let classes = detector.config().classes;
    if classes != images.classes().len() {
        return Err(TaskError::ClassCount { network: classes, images: images.classes().len() });
    }
    let Detected { by_image, not_finite } = detect(detector, params, images, settings)?;
    let records: Vec<ImageRecord> = images
        .images()
        .iter()
        .zip(by_image)
        .map(|(image, detections)| {
            let (width, height) = image.size;
            let bbox = |l: &caf_data::Label| l.to_pixels(width, height);
            let labels = image.labels.iter().map(|l| Label { class: l.class, bbox: bbox(l) }).collect();
            ImageRecord { labels, ignore: image.ignore.iter().map(bbox).collect(), detections }
        })
        .collect();
    let report = yolo::evaluate(&records, classes)?;
    let by_class = images.classes().iter().enumerate().map(|(number, name)| {
        let scored = report.classes.iter().find(|c| c.class as usize == number);
        ClassReport {
            name: name.clone(),
            labels: scored.map_or(0, |c| c.labels),
            precision: scored.map(|c| c.precision),
            recall: scored.map(|c| c.recall),
            ap50: scored.map(yolo::ClassReport::ap50),
            ap50_95: scored.map(yolo::ClassReport::ap50_95),
        }
    });
    Ok(DetectionReport {
        images: report.images,
        labels: report.labels,
        detections: report.detections,
        ignored: report.ignored,
        not_finite,
        precision: report.precision,
        recall: report.recall,
        map50: report.map50,
        map50_95: report.map50_95,
        classes: by_class.collect(),
    })
}
