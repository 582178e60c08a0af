//! Precision, recall and mean average precision by the rules of YOLOv5 (releases 6.0 to 7.0 and later).

use serde::Serialize;

use super::curves::{average_precision, box_smooth, interpolate};
use super::matching::{IOU_THRESHOLDS, Outcome, match_image};
use super::record::{ImageRecord, validate};
use super::rule::{Column, Findings, Measure, Rule};
use crate::EvalError;

/// Confidences at which the precision and recall curves are read.
const CONFIDENCES: usize = 1000;
/// Half width of the filter over the mean F1 curve, as a part of its length.
const SMOOTHING: f64 = 0.1;
/// Keeps quotients of zeros at zero.
const EPS: f64 = 1e-16;

/// One class that has labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassReport {
    /// Class, from 0.
    pub class: u32,
    /// Its labels.
    pub labels: usize,
    /// Hits at IoU 0.5 and the best confidence (see [`Report::best_confidence`]), from the interpolated recall.
    pub tp: f64,
    /// False positives there, from the interpolated precision.
    pub fp: f64,
    /// Precision there, in [0, 1].
    pub precision: f64,
    /// Recall there, in [0, 1].
    pub recall: f64,
    /// F1 there, in [0, 1].
    pub f1: f64,
    /// Average precision at each IoU threshold, 0.50 to 0.95.
    pub ap: [f64; IOU_THRESHOLDS],
}

impl ClassReport {
    /// Average precision at IoU 0.5.
    pub fn ap50(&self) -> f64 {
        self.ap[0]
    }

    /// Mean of the average precisions over all thresholds.
    pub fn ap50_95(&self) -> f64 {
        self.ap.iter().sum::<f64>() / IOU_THRESHOLDS as f64
    }
}

/// The result over a data set. Means run over the classes that have labels; all are 0 when none has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The classes with labels, ascending. A class that is only predicted is not counted at all.
    pub classes: Vec<ClassReport>,
    /// Mean precision at the best confidence.
    pub precision: f64,
    /// Mean recall at the best confidence.
    pub recall: f64,
    /// Mean F1 at the best confidence.
    pub f1: f64,
    /// The confidence that maximises the smoothed mean F1.
    pub best_confidence: f64,
    /// Mean AP at IoU 0.5.
    pub map50: f64,
    /// Mean AP over IoU 0.50 to 0.95.
    pub map50_95: f64,
    /// `0.1 mAP50 + 0.9 mAP50-95`: what the best checkpoint is chosen by.
    pub fitness: f64,
    /// Images.
    pub images: usize,
    /// Labels.
    pub labels: usize,
    /// Detections.
    pub detections: usize,
    /// Detections not counted at IoU 0.5 because of an ignore region.
    pub ignored: usize,
}

/// Detections of one class, most confident first.
type Ranked = Vec<(f32, [Outcome; IOU_THRESHOLDS])>;

/// YOLOv5's rule among all rules.
pub(super) const RULE: Rule = Rule {
    name: "yolov5",
    about: "what a YOLOv5 training reports: precision, recall and F1 at the best confidence, AP by linear interpolation",
    start: |classes| Box::new(Yolo::new(classes)),
};

/// The detections of a data set as they are added.
#[derive(Clone, Debug)]
pub struct Yolo {
    ranked: Vec<Ranked>,
    labels: Vec<usize>,
    images: usize,
    detections: usize,
    ignored: usize,
}

impl Yolo {
    /// Nothing seen yet, of `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self { ranked: vec![vec![]; classes], labels: vec![0; classes], images: 0, detections: 0, ignored: 0 }
    }

    /// Adds one image.
    ///
    /// # Errors
    /// [`EvalError::Class`] for a class out of range, [`EvalError::NotFinite`] for NaN or infinity; nothing is added then.
    pub fn add(&mut self, record: &ImageRecord) -> Result<(), EvalError> {
        validate(self.images, record, self.labels.len())?;
        self.images += 1;
        self.detections += record.detections.len();
        for label in &record.labels {
            self.labels[label.class as usize] += 1;
        }
        for (detection, outcome) in record.detections.iter().zip(match_image(record)) {
            self.ignored += usize::from(outcome[0] == Outcome::Ignored);
            self.ranked[detection.class as usize].push((detection.score, outcome));
        }
        Ok(())
    }

    /// The result over all images added. Equal confidences keep the order of images and detections (the original leaves it open).
    pub fn report(&self) -> Report {
        let labelled: Vec<usize> = (0..self.labels.len()).filter(|&c| self.labels[c] > 0).collect();
        let curves: Vec<Curves> = labelled
            .iter()
            .map(|&c| {
                let mut ranked = self.ranked[c].clone();
                ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
                Curves::of(&ranked, self.labels[c])
            })
            .collect();
        let best = best_confidence(&curves);
        let reports: Vec<ClassReport> =
            labelled.iter().zip(&curves).map(|(&c, curves)| curves.report(c as u32, self.labels[c], best)).collect();
        let mean = |value: fn(&ClassReport) -> f64| {
            if reports.is_empty() { 0.0 } else { reports.iter().map(value).sum::<f64>() / reports.len() as f64 }
        };
        let (map50, map50_95) = (mean(ClassReport::ap50), mean(ClassReport::ap50_95));
        Report {
            precision: mean(|c| c.precision),
            recall: mean(|c| c.recall),
            f1: mean(|c| c.f1),
            best_confidence: confidence(best),
            map50,
            map50_95,
            fitness: 0.1 * map50 + 0.9 * map50_95,
            images: self.images,
            labels: self.labels.iter().sum(),
            detections: self.detections,
            ignored: self.ignored,
            classes: reports,
        }
    }
}

impl Measure for Yolo {
    fn accumulate(&mut self, image: &ImageRecord) -> Result<(), EvalError> {
        self.add(image)
    }

    fn finish(&self) -> Findings {
        let report = self.report();
        let column = |name, mean, value: fn(&ClassReport) -> f64| {
            let of = |class: usize| report.classes.iter().find(|c| c.class as usize == class).map(value);
            Column::new(name, Some(mean), (0..self.labels.len()).map(of))
        };
        Findings {
            columns: vec![
                column("precision", report.precision, |c| c.precision),
                column("recall", report.recall, |c| c.recall),
                column("F1", report.f1, |c| c.f1),
                column("AP50", report.map50, ClassReport::ap50),
                column("AP50-95", report.map50_95, ClassReport::ap50_95),
            ],
            notes: vec![format!(
                "precision, recall and F1 at confidence {:.3}; fitness {:.4}; {} of {} detections not counted: ignore regions",
                report.best_confidence, report.fitness, report.ignored, report.detections
            )],
            details: serde_json::json!(report),
        }
    }
}

/// Evaluates the detections of a whole data set with `classes` classes.
///
/// # Errors
/// [`EvalError::Class`] for a class out of range, [`EvalError::NotFinite`] for NaN or infinity.
pub fn evaluate(images: &[ImageRecord], classes: usize) -> Result<Report, EvalError> {
    let mut yolo = Yolo::new(classes);
    images.iter().try_for_each(|image| yolo.add(image))?;
    Ok(yolo.report())
}

fn confidence(index: usize) -> f64 {
    index as f64 * (1.0 / (CONFIDENCES - 1) as f64)
}

/// Precision and recall by confidence at IoU 0.5, and the average precisions.
struct Curves {
    precision: Vec<f64>,
    recall: Vec<f64>,
    ap: [f64; IOU_THRESHOLDS],
}

impl Curves {
    fn of(ranked: &Ranked, labels: usize) -> Self {
        if ranked.is_empty() {
            let zero = vec![0.0; CONFIDENCES];
            return Self { precision: zero.clone(), recall: zero, ap: [0.0; IOU_THRESHOLDS] };
        }
        let ap = std::array::from_fn(|t| {
            let (_, recall, precision) = cumulate(ranked, labels, t);
            // Nothing counted: an empty curve, not the diagonal from (0, 1) to (1, 0).
            if recall.is_empty() { 0.0 } else { average_precision(&recall, &precision) }
        });
        let (falling, recall, precision) = cumulate(ranked, labels, 0);
        let read = |curve: &[f64], above: f64| {
            let at = |i| if falling.is_empty() { 0.0 } else { interpolate(-confidence(i), &falling, curve, above) };
            (0..CONFIDENCES).map(at).collect()
        };
        Self { precision: read(&precision, 1.0), recall: read(&recall, 0.0), ap }
    }

    fn f1(&self, index: usize) -> f64 {
        let (p, r) = (self.precision[index], self.recall[index]);
        2.0 * p * r / (p + r + EPS)
    }

    fn report(&self, class: u32, labels: usize, best: usize) -> ClassReport {
        let (precision, recall) = (self.precision[best], self.recall[best]);
        let tp = (recall * labels as f64).round_ties_even();
        let fp = (tp / (precision + EPS) - tp).round_ties_even();
        ClassReport { class, labels, tp, fp, precision, recall, f1: self.f1(best), ap: self.ap }
    }
}

/// Negated confidence, recall and precision after each counted detection at threshold `t`.
fn cumulate(ranked: &Ranked, labels: usize, t: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut hits, mut counted) = (0usize, 0usize);
    let (mut falling, mut recall, mut precision) = (vec![], vec![], vec![]);
    for (score, outcomes) in ranked.iter().filter(|(_, o)| o[t] != Outcome::Ignored) {
        counted += 1;
        hits += usize::from(outcomes[t] == Outcome::Hit);
        falling.push(-f64::from(*score));
        recall.push(hits as f64 / (labels as f64 + EPS));
        precision.push(hits as f64 / counted as f64);
    }
    (falling, recall, precision)
}

/// Index of the confidence with the highest smoothed mean F1; the first one of equals.
fn best_confidence(curves: &[Curves]) -> usize {
    if curves.is_empty() {
        return 0;
    }
    let mean: Vec<f64> =
        (0..CONFIDENCES).map(|i| curves.iter().map(|c| c.f1(i)).sum::<f64>() / curves.len() as f64).collect();
    let smooth = box_smooth(&mean, SMOOTHING);
    (0..CONFIDENCES).fold(0, |best, i| if smooth[i] > smooth[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::super::record::Label;
    use super::*;
    use caf_geometry::{Detection, Xyxy};

    fn record(ignore: bool) -> ImageRecord {
        let bbox = Xyxy::new(0.0, 0.0, 10.0, 10.0);
        let hit = Detection { x1: 0.0, y1: 0.0, x2: 10.0, y2: 10.0, score: 0.8, class: 0 };
        let elsewhere = Detection { x1: 50.0, x2: 60.0, score: 0.9, ..hit };
        ImageRecord {
            labels: vec![Label { class: 0, bbox }],
            ignore: if ignore { vec![Xyxy::new(40.0, 0.0, 70.0, 20.0)] } else { vec![] },
            detections: vec![hit, elsewhere],
        }
    }

    #[test]
    fn ignore_regions_remove_the_false_positive() {
        let with = evaluate(&[record(true)], 1).unwrap();
        let without = evaluate(&[record(false)], 1).unwrap();
        assert!((with.map50 - 0.995).abs() < 1e-9 && with.ignored == 1);
        assert!(without.map50 < 0.6 && without.ignored == 0);
    }

    #[test]
    fn nothing_is_zero() {
        let empty = evaluate(&[], 3).unwrap();
        assert_eq!((empty.map50, empty.fitness, empty.classes.len()), (0.0, 0.0, 0));
        let mut only_ignored = record(true);
        only_ignored.detections.remove(0);
        assert_eq!(evaluate(&[only_ignored], 1).unwrap().map50_95, 0.0);
    }

    #[test]
    fn refuses_bad_input() {
        assert!(matches!(evaluate(&[record(false)], 0), Err(EvalError::Class { what: "label", .. })));
        let mut broken = record(false);
        broken.detections[1].score = f32::NAN;
        assert!(matches!(evaluate(&[broken], 1), Err(EvalError::NotFinite { what: "detection", index: 1, .. })));
    }
}
