//! Which class is taken for which, by YOLOv5's rule.

use serde::Serialize;

use super::record::{ImageRecord, validate};
use super::rule::{Findings, Measure, Rule};
use crate::EvalError;

/// Detections at or below this confidence are left out.
pub const CONFIDENCE: f32 = 0.25;
/// A detection and a label are a pair above this IoU, whatever their classes.
pub const IOU: f32 = 0.45;

/// Counts by predicted class (row) and true class (column); the last row and column are the background.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfusionMatrix {
    /// `classes + 1` rows of as many counts.
    pub rows: Vec<Vec<u64>>,
}

/// The confusion matrix among all rules.
pub(super) const RULE: Rule = Rule {
    name: "confusion",
    about: "which class is taken for which, by YOLOv5's rule",
    start: |classes| Box::new(Confusion::new(classes)),
};

/// The counts of a data set as its images are added.
///
/// As in the original, false positives (last column) are counted only in images with a label and at least one pair.
/// Where detections of equal boxes fight for a label, the most confident one has it (the original leaves that to an
/// unstable sort). Detections in an ignore region that are in no pair are not counted.
#[derive(Clone, Debug)]
pub struct Confusion {
    classes: usize,
    images: usize,
    matrix: ConfusionMatrix,
}

impl Confusion {
    /// Nothing counted yet, of `classes` classes.
    pub fn new(classes: usize) -> Self {
        let rows = vec![vec![0; classes + 1]; classes + 1];
        Self { classes, images: 0, matrix: ConfusionMatrix { rows } }
    }

    /// What was counted.
    pub fn matrix(&self) -> &ConfusionMatrix {
        &self.matrix
    }
}

impl Measure for Confusion {
    fn accumulate(&mut self, image: &ImageRecord) -> Result<(), EvalError> {
        validate(self.images, image, self.classes)?;
        self.images += 1;
        add(image, self.classes, &mut self.matrix.rows);
        Ok(())
    }

    fn finish(&self) -> Findings {
        let layout = "row predicted, column true, last is background";
        let details = serde_json::json!({ "layout": layout, "matrix": self.matrix.rows });
        Findings { columns: vec![], notes: vec![], details }
    }
}

impl ConfusionMatrix {
    /// Counts a whole data set with `classes` classes.
    ///
    /// # Errors
    /// [`EvalError::Class`] for a class out of range, [`EvalError::NotFinite`] for NaN or infinity.
    pub fn of(images: &[ImageRecord], classes: usize) -> Result<Self, EvalError> {
        let mut confusion = Confusion::new(classes);
        images.iter().try_for_each(|image| confusion.accumulate(image))?;
        Ok(confusion.matrix)
    }
}

fn add(record: &ImageRecord, background: usize, rows: &mut [Vec<u64>]) {
    let found: Vec<_> =
        record.by_confidence().into_iter().map(|i| record.detections[i]).filter(|d| d.score > CONFIDENCE).collect();
    // Each detection's best label, then each label's best detection among those that chose it.
    let mut choices = vec![];
    for (detection, d) in found.iter().enumerate() {
        let mut best: Option<(usize, f32)> = None;
        for (label, truth) in record.labels.iter().enumerate() {
            let iou = truth.bbox.iou(d.xyxy());
            if iou > IOU && best.is_none_or(|(_, b)| iou > b) {
                best = Some((label, iou));
            }
        }
        if let Some((label, iou)) = best {
            choices.push((label, detection, iou));
        }
    }
    choices.sort_by(|a, b| b.2.total_cmp(&a.2));
    let mut of_label: Vec<Option<usize>> = vec![None; record.labels.len()];
    for &(label, detection, _) in &choices {
        of_label[label].get_or_insert(detection);
    }
    for (truth, detection) in record.labels.iter().zip(&of_label) {
        let row = detection.map_or(background, |d| found[d].class as usize);
        rows[row][truth.class as usize] += 1;
    }
    if choices.is_empty() {
        return;
    }
    for (i, d) in found.iter().enumerate() {
        if !of_label.contains(&Some(i)) && !record.ignores(d.xyxy()) {
            rows[d.class as usize][background] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Label;
    use super::*;
    use caf_geometry::{Detection, Xyxy};

    #[test]
    fn classes_background_and_ignored() {
        let bbox = Xyxy::new(0.0, 0.0, 10.0, 10.0);
        let found = |x1: f32, class, score| Detection { x1, y1: 0.0, x2: x1 + 10.0, y2: 10.0, score, class };
        let mut record = ImageRecord {
            labels: vec![Label { class: 0, bbox }, Label { class: 1, bbox: Xyxy::new(500.0, 0.0, 510.0, 10.0) }],
            ignore: vec![],
            detections: vec![found(0.0, 1, 0.9), found(100.0, 0, 0.8), found(200.0, 0, 0.2)],
        };
        let matrix = |r: &ImageRecord| ConfusionMatrix::of(std::slice::from_ref(r), 2).unwrap().rows;
        assert_eq!(matrix(&record), [[0, 0, 1], [1, 0, 0], [0, 1, 0]]);
        record.ignore.push(Xyxy::new(90.0, 0.0, 120.0, 10.0));
        assert_eq!(matrix(&record)[0], [0, 0, 0]);
        record.detections.remove(0);
        record.ignore.clear();
        assert_eq!(matrix(&record)[0], [0, 0, 0], "no pair in this image");
    }
}
