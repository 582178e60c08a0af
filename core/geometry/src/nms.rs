//! Non-maximum suppression by the exact rule of YOLOv5.

use serde::{Deserialize, Serialize};

use crate::boxes::{Cxcywh, Xyxy};
use crate::error::GeometryError;

/// One detection: a box in pixels, its score in [0, 1] and its class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
    /// Objectness times class probability.
    pub score: f32,
    /// Class, from 0.
    pub class: u32,
}

impl Detection {
    /// The box alone.
    pub fn xyxy(&self) -> Xyxy {
        Xyxy::new(self.x1, self.y1, self.x2, self.y2)
    }

    /// The same detection with another box, for example mapped back to the source image.
    pub fn with_box(self, b: Xyxy) -> Self {
        Self { x1: b.x1, y1: b.y1, x2: b.x2, y2: b.y2, ..self }
    }
}

/// Settings of the suppression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NmsSettings {
    /// Objectness, and objectness times class probability, must both exceed this; in [0, 1].
    pub conf: f32,
    /// A box is dropped when its IoU with a better one exceeds this; in [0, 1]. 64-bit because the original compares
    /// the 32-bit IoU with a 64-bit threshold.
    pub iou: f64,
    /// Every class above `conf` is a detection of its own, not just the best one. Without effect for one class.
    pub multi_label: bool,
    /// Boxes of different classes suppress each other.
    pub agnostic: bool,
    /// Detections kept per image.
    pub max_det: usize,
    /// Candidates that enter the suppression, the best ones.
    pub max_candidates: usize,
    /// Distance in pixels by which the boxes of neighbouring classes are moved apart, so that they never meet. The sum
    /// is rounded to float32, which coarsens coordinates of high classes (0.06 px from class 69 on); results match the
    /// original only with the same distance.
    pub class_offset: f32,
    /// Only these classes, or all.
    pub classes: Option<Vec<u32>>,
}

impl Default for NmsSettings {
    /// Detection as in YOLOv5: confidence 0.25, IoU 0.45, best class only, 300 detections.
    fn default() -> Self {
        Self {
            conf: 0.25,
            iou: 0.45,
            multi_label: false,
            agnostic: false,
            max_det: 300,
            max_candidates: 30_000,
            class_offset: 7680.0,
            classes: None,
        }
    }
}

impl NmsSettings {
    /// Validation as in YOLOv5: confidence 0.001, IoU 0.6, every class, 300 detections.
    pub fn validation() -> Self {
        Self { conf: 0.001, iou: 0.6, multi_label: true, ..Self::default() }
    }

    /// # Errors
    /// [`GeometryError::Setting`] when a threshold is outside [0, 1] or the class offset is not finite.
    pub fn validate(&self) -> Result<(), GeometryError> {
        let unit = |name, value: f64| {
            let expected = "a number from 0 to 1";
            if (0.0..=1.0).contains(&value) {
                Ok(())
            } else {
                Err(GeometryError::Setting { name, expected, found: value })
            }
        };
        unit("conf", f64::from(self.conf))?;
        unit("iou", self.iou)?;
        if !self.class_offset.is_finite() {
            let found = f64::from(self.class_offset);
            return Err(GeometryError::Setting { name: "class_offset", expected: "a finite number of pixels", found });
        }
        Ok(())
    }
}

/// What happened to the rows of one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NmsCounts {
    /// Candidates above the confidence.
    pub candidates: usize,
    /// Candidates beyond `max_candidates`, left out.
    pub over_limit: usize,
    /// Rows left out because their objectness, or any value of a row above the confidence, was NaN or infinite. Not
    /// zero means that the network is broken.
    pub not_finite: usize,
    /// Detections kept.
    pub kept: usize,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    plain: Xyxy,
    shifted: Xyxy,
    area: f32,
    score: f32,
    class: u32,
    /// Position in the input: row, then class. Decides between equal scores, as a stable sort would.
    order: u32,
}

/// Buffers of the suppression; reused, they stop growing after the busiest image.
#[derive(Clone, Debug, Default)]
pub struct NmsScratch {
    candidates: Vec<Candidate>,
    kept: Vec<Candidate>,
}

/// Suppresses `rows` (`cx cy w h objectness class…`, `classes` classes each) into a new list, best first.
///
/// # Errors
/// See [`nms_into`].
pub fn nms(rows: &[f32], classes: usize, settings: &NmsSettings) -> Result<Vec<Detection>, GeometryError> {
    let mut out = Vec::new();
    nms_into(rows, classes, settings, &mut NmsScratch::default(), &mut out)?;
    Ok(out)
}

/// Suppresses `rows` (`cx cy w h objectness class…`, `classes` classes each; boxes in pixels, probabilities in [0, 1])
/// into `out`, which is cleared first; best detection first. Once the buffers are warm nothing is allocated.
///
/// Equal scores keep the order of the rows. A row with a value that is not finite is left out and counted.
///
/// # Errors
/// [`GeometryError::Rows`] when `rows` is not a whole number of rows or `classes` is zero; [`GeometryError::Setting`] when a
/// threshold is out of range.
pub fn nms_into(
    rows: &[f32],
    classes: usize,
    settings: &NmsSettings,
    scratch: &mut NmsScratch,
    out: &mut Vec<Detection>,
) -> Result<NmsCounts, GeometryError> {
    out.clear();
    settings.validate()?;
    let row = classes.saturating_add(5);
    if classes == 0 || !rows.len().is_multiple_of(row) {
        return Err(GeometryError::Rows { row, classes, found: rows.len() });
    }
    let mut counts = NmsCounts::default();
    scratch.candidates.clear();
    for values in rows.chunks_exact(row) {
        collect(values, settings, &mut scratch.candidates, &mut counts);
    }
    counts.candidates = scratch.candidates.len();
    let best_first = |a: &Candidate, b: &Candidate| b.score.total_cmp(&a.score).then(a.order.cmp(&b.order));
    if scratch.candidates.len() > settings.max_candidates {
        counts.over_limit = scratch.candidates.len() - settings.max_candidates;
        if settings.max_candidates > 0 {
            scratch.candidates.select_nth_unstable_by(settings.max_candidates - 1, best_first);
        }
        scratch.candidates.truncate(settings.max_candidates);
    }
    scratch.candidates.sort_unstable_by(best_first);

    scratch.kept.clear();
    for candidate in &scratch.candidates {
        if scratch.kept.len() == settings.max_det {
            break;
        }
        if !scratch.kept.iter().any(|better| f64::from(overlap(better, candidate)) > settings.iou) {
            scratch.kept.push(*candidate);
            let Candidate { plain: b, score, class, .. } = *candidate;
            out.push(Detection { x1: b.x1, y1: b.y1, x2: b.x2, y2: b.y2, score, class });
        }
    }
    counts.kept = out.len();
    Ok(counts)
}

/// IoU of the shifted boxes, without the epsilon that the matching adds.
fn overlap(a: &Candidate, b: &Candidate) -> f32 {
    let shared = a.shifted.intersection(b.shifted);
    shared / (a.area + b.area - shared)
}

fn collect(values: &[f32], settings: &NmsSettings, candidates: &mut Vec<Candidate>, counts: &mut NmsCounts) {
    let [cx, cy, w, h, objectness, probabilities @ ..] = values else { return };
    if !objectness.is_finite() {
        counts.not_finite += 1;
        return;
    }
    if *objectness <= settings.conf {
        return;
    }
    let plain = Xyxy::from(Cxcywh::new(*cx, *cy, *w, *h));
    // A finite centre and size can still overflow when added.
    if !plain.is_finite() || !plain.area().is_finite() || !probabilities.iter().all(|p| p.is_finite()) {
        counts.not_finite += 1;
        return;
    }
    let mut push = |class: usize, score: f32| {
        let class = class as u32;
        if score > settings.conf && settings.classes.as_ref().is_none_or(|wanted| wanted.contains(&class)) {
            let shift = if settings.agnostic { 0.0 } else { class as f32 * settings.class_offset };
            let shifted = Xyxy::new(plain.x1 + shift, plain.y1 + shift, plain.x2 + shift, plain.y2 + shift);
            let order = candidates.len() as u32;
            candidates.push(Candidate { plain, shifted, area: shifted.area(), score, class, order });
        }
    };
    if settings.multi_label {
        for (class, p) in probabilities.iter().enumerate() {
            push(class, p * objectness);
        }
    } else {
        let mut best: Option<(usize, f32)> = None;
        for (class, p) in probabilities.iter().enumerate() {
            let score = p * objectness;
            if best.is_none_or(|(_, s)| score > s) {
                best = Some((class, score));
            }
        }
        if let Some((class, score)) = best {
            push(class, score);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two near copies of class 0, one of class 1 on the same place, one far away.
    const ROWS: [[f32; 7]; 4] = [
        [50.0, 50.0, 20.0, 20.0, 0.9, 0.9, 0.1],
        [51.0, 50.0, 20.0, 20.0, 0.8, 0.9, 0.6],
        [50.0, 50.0, 20.0, 20.0, 0.7, 0.1, 0.8],
        [150.0, 50.0, 20.0, 20.0, 0.6, 0.9, 0.1],
    ];

    fn flat() -> Vec<f32> {
        ROWS.concat()
    }

    fn summary(settings: &NmsSettings) -> Vec<(u32, f32)> {
        nms(&flat(), 2, settings).unwrap().iter().map(|d| (d.class, d.x1)).collect()
    }

    #[test]
    fn suppression_is_per_class_unless_agnostic() {
        let s = NmsSettings::default();
        assert_eq!(summary(&s), [(0, 40.0), (1, 40.0), (0, 140.0)]);
        assert_eq!(summary(&NmsSettings { agnostic: true, ..s.clone() }), [(0, 40.0), (0, 140.0)]);
        assert_eq!(summary(&NmsSettings { classes: Some(vec![1]), ..s.clone() }), [(1, 40.0)]);
        assert_eq!(summary(&NmsSettings { max_det: 1, ..s.clone() }), [(0, 40.0)]);
        assert_eq!(summary(&NmsSettings { max_candidates: 2, ..s.clone() }), [(0, 40.0)]);
        assert!(summary(&NmsSettings { max_candidates: 0, ..s.clone() }).is_empty());
        // With every class a row of its own, the second row's class 1 (0.48) loses to the third's (0.56).
        assert_eq!(summary(&NmsSettings { multi_label: true, ..s }), [(0, 40.0), (1, 40.0), (0, 140.0)]);
    }

    #[test]
    fn equal_scores_keep_the_order_of_the_rows() {
        let rows: Vec<f32> = (0..40).flat_map(|i| [i as f32 * 100.0, 10.0, 8.0, 8.0, 0.5, 1.0]).collect();
        let found = nms(&rows, 1, &NmsSettings::default()).unwrap();
        assert!(found.windows(2).all(|w| w[0].x1 < w[1].x1) && found.len() == 40);
    }

    #[test]
    fn rows_that_are_not_finite_are_counted() {
        for (column, value) in
            [(0, f32::NAN), (2, f32::INFINITY), (4, f32::NAN), (4, f32::INFINITY), (5, f32::NAN), (2, 3e38)]
        {
            let mut rows = flat();
            rows[column] = value;
            let mut out = vec![];
            let counts = nms_into(&rows, 2, &NmsSettings::default(), &mut NmsScratch::default(), &mut out).unwrap();
            assert_eq!(counts.not_finite, 1, "column {column}");
            assert!(out.iter().all(|d| d.xyxy().is_finite() && d.score.is_finite()));
            assert_eq!(out.len(), 3, "the second row takes the place of the first");
        }
    }

    #[test]
    fn warm_buffers_do_not_grow() {
        let (mut scratch, mut out) = (NmsScratch::default(), Vec::new());
        let settings = NmsSettings { multi_label: true, ..NmsSettings::default() };
        nms_into(&flat(), 2, &settings, &mut scratch, &mut out).unwrap();
        let before = (scratch.candidates.as_ptr(), scratch.kept.as_ptr(), out.as_ptr());
        for _ in 0..3 {
            nms_into(&flat(), 2, &settings, &mut scratch, &mut out).unwrap();
        }
        assert_eq!(before, (scratch.candidates.as_ptr(), scratch.kept.as_ptr(), out.as_ptr()));
    }

    #[test]
    fn refuses_partial_rows_and_bad_settings() {
        let s = NmsSettings::default();
        assert!(matches!(nms(&flat()[1..], 2, &s), Err(GeometryError::Rows { row: 7, found: 27, .. })));
        assert!(nms(&[], 0, &s).is_err());
        assert!(nms(&[], 2, &s).unwrap().is_empty());
        assert!(nms(&flat(), 2, &NmsSettings { conf: f32::NAN, ..s.clone() }).is_err());
        assert!(nms(&flat(), 2, &NmsSettings { iou: 1.5, ..s }).is_err());
    }
}
