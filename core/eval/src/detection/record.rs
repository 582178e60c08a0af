use caf_geometry::{Detection, Xyxy};

use crate::EvalError;

/// The part of a detection's area that an ignore region must cover.
pub const IGNORE_COVERAGE: f32 = 0.5;

/// A labelled object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label {
    /// Class, from 0.
    pub class: u32,
    /// Box in pixels of the image.
    pub bbox: Xyxy,
}

/// All that is known about one image; boxes in pixels of one and the same image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageRecord {
    /// What is there.
    pub labels: Vec<Label>,
    /// Where detections without a label are neither right nor wrong.
    pub ignore: Vec<Xyxy>,
    /// What was found, in any order.
    pub detections: Vec<Detection>,
}

impl ImageRecord {
    /// Indices of the detections, most confident first, equal scores in list order.
    pub(crate) fn by_confidence(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.detections.len()).collect();
        order.sort_by(|&a, &b| self.detections[b].score.total_cmp(&self.detections[a].score));
        order
    }

    /// True when an ignore region covers enough of `detection`.
    pub(crate) fn ignores(&self, detection: Xyxy) -> bool {
        self.ignore.iter().any(|&region| detection.covered_by(region) >= IGNORE_COVERAGE)
    }
}

/// Refuses an image with classes beyond `classes` or numbers that are not finite; `image` is its index.
pub(crate) fn validate(image: usize, record: &ImageRecord, classes: usize) -> Result<(), EvalError> {
    let labels = record.labels.iter().map(|l| (l.class, l.bbox.is_finite()));
    let detections = record.detections.iter().map(|d| (d.class, d.xyxy().is_finite() && d.score.is_finite()));
    validate_image(image, classes, labels, detections, record.ignore.iter().map(|b| b.is_finite()))
}

/// Refuses what is wrong with one image, given the class of every label and detection and whether its numbers are finite,
/// and the latter of every ignore region.
pub(crate) fn validate_image(
    image: usize,
    classes: usize,
    labels: impl Iterator<Item = (u32, bool)>,
    detections: impl Iterator<Item = (u32, bool)>,
    mut ignore: impl Iterator<Item = bool>,
) -> Result<(), EvalError> {
    let objects = labels.enumerate().map(|c| ("label", c)).chain(detections.enumerate().map(|c| ("detection", c)));
    for (what, (index, (class, finite))) in objects {
        if class as usize >= classes {
            return Err(EvalError::Class { image, what, index, class, classes });
        }
        if !finite {
            return Err(EvalError::NotFinite { image, what, index });
        }
    }
    match ignore.position(|finite| !finite) {
        Some(index) => Err(EvalError::NotFinite { image, what: "ignore region", index }),
        None => Ok(()),
    }
}
