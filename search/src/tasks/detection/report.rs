//! What a detector was measured to do, as numbers and as a table.

use super::settings::KIND;
use crate::tasks::task::TaskReport;
use caf_eval::EvalError;
use caf_eval::detection::{ImageRecord, Outcome, match_image, yolo};
use serde::Serialize;
use std::fmt::Write as _;

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
    /// The confidence with the best mean F1, at which precision and recall are taken.
    pub confidence: f64,
    /// Mean precision over the classes that have labels, by YOLOv5's rule: a class without any detection at this confidence
    /// counts as 1, or as 0 when it has none at all.
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
    /// Counted detections at or above [`DetectionReport::confidence`]. Without any, a precision says nothing.
    pub detections: usize,
    /// Precision, by YOLOv5's rule.
    pub precision: Option<f64>,
    /// Recall.
    pub recall: Option<f64>,
    /// Average precision at IoU 0.5.
    pub ap50: Option<f64>,
    /// Mean of the average precisions at IoU 0.5, 0.55 … 0.95.
    pub ap50_95: Option<f64>,
}

impl ClassReport {
    /// The precision, where there was a detection to be right or wrong.
    pub fn precision_of_detections(&self) -> Option<f64> {
        self.precision.filter(|_| self.detections > 0)
    }
}

impl DetectionReport {
    /// Measures detections by the rules of YOLOv5; `not_finite` is handed through.
    ///
    /// # Errors
    /// For a class without a name, and for boxes or scores that are no numbers.
    pub fn of(records: &[ImageRecord], names: &[String], not_finite: usize) -> Result<Self, EvalError> {
        let report = yolo::evaluate(records, names.len())?;
        let mut counted = vec![0; names.len()];
        for record in records {
            for (detection, outcome) in record.detections.iter().zip(match_image(record)) {
                let counts = f64::from(detection.score) >= report.best_confidence
                    && outcome.first().is_some_and(|o| *o != Outcome::Ignored);
                if let Some(count) = counted.get_mut(detection.class as usize) {
                    *count += usize::from(counts);
                }
            }
        }
        let classes = names.iter().zip(counted).enumerate().map(|(number, (name, detections))| {
            let scored = report.classes.iter().find(|c| c.class as usize == number);
            ClassReport {
                name: name.clone(),
                labels: scored.map_or(0, |c| c.labels),
                detections,
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
            confidence: report.best_confidence,
            precision: report.precision,
            recall: report.recall,
            map50: report.map50,
            map50_95: report.map50_95,
            classes: classes.collect(),
        })
    }

    /// The means, what the best network is chosen by (0.1 mAP50 + 0.9 mAP50-95, the original's), and the whole in both forms.
    pub fn summed_up(&self) -> TaskReport {
        TaskReport {
            kind: KIND,
            scores: vec![self.precision, self.recall, self.map50, self.map50_95],
            by_class: self.classes.iter().map(|class| class.ap50).collect(),
            fitness: 0.1 * self.map50 + 0.9 * self.map50_95,
            // A plain value always has a JSON form.
            details: serde_json::to_value(self).unwrap_or_default(),
            table: self.table(),
        }
    }

    /// A table for people, percent. It has no precision where nothing was detected, and says what its mean runs over.
    pub fn table(&self) -> String {
        let mut text = row(["class", "labels", "P", "R", "AP@.5", "AP@.5:.95"].map(str::to_owned));
        let percent = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{:.1}", 100.0 * v));
        for c in &self.classes {
            let [p, r, a, b] = [c.precision_of_detections(), c.recall, c.ap50, c.ap50_95].map(percent);
            text += &row([c.name.clone(), c.labels.to_string(), p, r, a, b]);
        }
        let shown: Vec<f64> = self.classes.iter().filter_map(ClassReport::precision_of_detections).collect();
        let mean = (!shown.is_empty()).then(|| shown.iter().sum::<f64>() / shown.len() as f64);
        let labelled = self.classes.iter().filter(|c| c.labels > 0).count();
        let over_labelled = |v: f64| Some(v).filter(|_| labelled > 0);
        let [r, a, b] = [self.recall, self.map50, self.map50_95].map(over_labelled).map(percent);
        text += &row(["mean".to_owned(), self.labels.to_string(), percent(mean), r, a, b]);
        let _ = writeln!(text, "P and R at confidence {:.3}, where the mean F1 is best", self.confidence);
        if shown.len() < labelled {
            let _ = writeln!(
                text,
                "P -: nothing detected at that confidence; the mean P is over the other {} of {labelled} classes with labels",
                shown.len()
            );
        }
        text
    }
}

fn row([name, labels, p, r, a, b]: [String; 6]) -> String {
    format!("{name:<12} {labels:>6} {p:>7} {r:>7} {a:>7} {b:>9}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_eval::detection::Label;
    use caf_geometry::{Detection, Xyxy};

    /// Cars that are found surely and one that is none, a person that is missed with little confidence, a dog that nobody labelled.
    fn report() -> DetectionReport {
        let bbox = |x1: f32| Xyxy::new(x1, 0.0, x1 + 10.0, 10.0);
        let found = |x1: f32, class, score| Detection { x1, y1: 0.0, x2: x1 + 10.0, y2: 10.0, score, class };
        let cars = [0.0, 20.0, 40.0, 60.0];
        let mut record = ImageRecord {
            labels: cars.iter().map(|x| Label { class: 0, bbox: bbox(*x) }).collect(),
            ignore: vec![bbox(200.0)],
            detections: cars.iter().map(|x| found(*x, 0, 0.9)).collect(),
        };
        record.labels.push(Label { class: 1, bbox: bbox(100.0) });
        record.detections.extend([found(120.0, 0, 0.3), found(150.0, 1, 0.05), found(200.0, 0, 0.95)]);
        DetectionReport::of(&[record], &["car", "person", "dog"].map(str::to_owned), 0).unwrap()
    }

    #[test]
    fn a_class_without_a_detection_shows_no_precision_and_does_not_lift_the_mean() {
        let report = report();
        // YOLOv5's rule stays in the numbers.
        let car = report.classes[0].precision.unwrap();
        assert_eq!(report.classes[1].precision, Some(1.0));
        assert!((report.precision - (car + 1.0) / 2.0).abs() < 1e-12 && car < 0.999, "{car}");
        assert!(report.confidence > 0.3, "{}", report.confidence);
        // The detection in the ignore region is not counted.
        assert_eq!(report.classes.iter().map(|c| c.detections).collect::<Vec<_>>(), [4, 0, 0]);
        let table = report.table();
        let cells = |name: &str| -> Vec<&str> {
            table.lines().find(|l| l.starts_with(name)).unwrap().split_whitespace().skip(1).collect()
        };
        assert_eq!(cells("person")[..3], ["1", "-", "0.0"], "{table}");
        let car = format!("{:.1}", 100.0 * car);
        assert_eq!(cells("car")[..3], ["4", car.as_str(), "100.0"], "{table}");
        assert_eq!(cells("dog"), ["0", "-", "-", "-", "-"], "{table}");
        assert_eq!(cells("mean")[..3], ["5", car.as_str(), "50.0"], "{table}");
        assert!(table.contains("1 of 2 classes"), "{table}");
    }

    #[test]
    fn without_labels_there_are_no_scores() {
        let table = DetectionReport::of(&[ImageRecord::default()], &["car".to_owned()], 0).unwrap().table();
        assert!(table.lines().any(|l| l.starts_with("mean") && l.matches('-').count() == 4), "{table}");
    }
}
