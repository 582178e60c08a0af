use serde_json::Value;

use super::record::ImageRecord;
use crate::EvalError;

/// A way to measure detections over a data set.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name in results.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Nothing measured yet, for so many classes.
    pub start: fn(usize) -> Box<dyn Measure>,
}

/// What a rule has seen so far: fed image by image, then asked.
pub trait Measure {
    /// Adds one image. Images keep the order in which they are added, which decides between equal confidences.
    ///
    /// # Errors
    /// [`EvalError::Class`] for a class out of range, [`EvalError::NotFinite`] for NaN or infinity.
    fn accumulate(&mut self, image: &ImageRecord) -> Result<(), EvalError>;

    /// The result over all images added.
    fn finish(&self) -> Findings;
}

/// The result of a rule, for people and for programs.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    /// Measures of classes.
    pub columns: Vec<Column>,
    /// Lines below the table.
    pub notes: Vec<String>,
    /// Everything, as JSON.
    pub details: Value,
}

/// A measure of every class and its mean; `None` where it is undefined.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// By class.
    pub classes: Vec<Option<f64>>,
    /// Over the classes that are defined.
    pub mean: Option<f64>,
}

impl Column {
    pub(super) fn new(name: &'static str, mean: Option<f64>, classes: impl Iterator<Item = Option<f64>>) -> Self {
        Self { name, classes: classes.collect(), mean }
    }
}

/// A number for a note: four decimals, `-` where undefined.
pub(super) fn decimals(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"))
}

#[cfg(test)]
mod tests {
    use super::super::{Label, RULES};
    use super::*;
    use caf_geometry::{Detection, Xyxy};

    fn record(shift: f32) -> ImageRecord {
        let hit = Detection { x1: shift, y1: 0.0, x2: 10.0, y2: 10.0, score: 0.8, class: 1 };
        ImageRecord {
            labels: vec![Label { class: 1, bbox: Xyxy::new(0.0, 0.0, 10.0, 10.0) }],
            ignore: vec![],
            detections: vec![hit],
        }
    }

    #[test]
    fn every_rule_has_a_row_for_each_class_and_refuses_wrong_images() {
        for rule in RULES {
            let mut measure = (rule.start)(3);
            measure.accumulate(&record(0.0)).unwrap();
            let before = measure.finish();
            for column in &before.columns {
                assert_eq!(column.classes.len(), 3, "{} {}", rule.name, column.name);
                assert!(column.classes[1].is_some() && column.classes[0].is_none(), "{} {}", rule.name, column.name);
            }
            let mut wrong = record(0.0);
            wrong.detections[0].class = 3;
            let error = measure.accumulate(&wrong).unwrap_err();
            assert!(matches!(error, EvalError::Class { image: 1, what: "detection", .. }), "{}: {error}", rule.name);
            wrong.detections[0].class = 0;
            wrong.detections[0].score = f32::NAN;
            assert!(measure.accumulate(&wrong).is_err());
            assert_eq!(measure.finish(), before, "{}: a refused image is not counted", rule.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<&str> = RULES.iter().map(|r| r.name).collect();
        assert_eq!(names.len(), RULES.len());
    }
}
