use super::record::ImageRecord;

/// Number of IoU thresholds.
pub const IOU_THRESHOLDS: usize = 10;

/// What one detection counts as at one IoU threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It found a label.
    Hit,
    /// False positive.
    Miss,
    /// In an ignore region and without a label: not counted.
    Ignored,
}

/// The thresholds 0.50, 0.55 … 0.95 in float32, as they are compared with.
pub fn iou_thresholds() -> [f32; IOU_THRESHOLDS] {
    // Counted from the nearer end, as the original's linspace: the last bits depend on it.
    let (start, end) = (0.5f32, 0.95f32);
    let step = (end - start) / (IOU_THRESHOLDS - 1) as f32;
    std::array::from_fn(|i| {
        if i < IOU_THRESHOLDS / 2 { start + step * i as f32 } else { end - step * (IOU_THRESHOLDS - 1 - i) as f32 }
    })
}

/// A label and a detection of one class that overlap.
struct Pair {
    label: usize,
    detection: usize,
    iou: f32,
}

/// Matches the detections of one image with its labels by YOLOv5's rule; one entry a detection, in the order of
/// `record.detections`.
///
/// At each threshold every detection chooses the label of its class with the highest IoU at or above the threshold; of
/// the detections that chose one label the most confident is the hit. A detection whose label is taken does not fall back
/// to another one, so an outcome can rise again at a higher threshold.
pub fn match_image(record: &ImageRecord) -> Vec<[Outcome; IOU_THRESHOLDS]> {
    let order = record.by_confidence();
    let pairs = overlapping_pairs(record, &order);
    let ignored: Vec<bool> = record.detections.iter().map(|d| record.ignores(d.xyxy())).collect();
    let unmatched = |i: usize| if ignored[i] { Outcome::Ignored } else { Outcome::Miss };
    let mut outcomes: Vec<_> = (0..record.detections.len()).map(|i| [unmatched(i); IOU_THRESHOLDS]).collect();
    for (t, threshold) in iou_thresholds().into_iter().enumerate() {
        let mut taken = vec![false; record.labels.len()];
        let mut last = None;
        for pair in pairs.iter().filter(|p| p.iou >= threshold) {
            // Pairs come by detection, best label first: only the first one of a detection is its choice.
            if last.replace(pair.detection) == Some(pair.detection) {
                continue;
            }
            if !std::mem::replace(&mut taken[pair.label], true) {
                outcomes[pair.detection][t] = Outcome::Hit;
            }
        }
    }
    outcomes
}

/// Pairs at or above the lowest threshold: by the detection's confidence, then by IoU, best first.
fn overlapping_pairs(record: &ImageRecord, order: &[usize]) -> Vec<Pair> {
    let lowest = iou_thresholds()[0];
    let mut pairs = vec![];
    for &detection in order {
        let found = &record.detections[detection];
        let first = pairs.len();
        for (label, truth) in record.labels.iter().enumerate() {
            let iou = truth.bbox.iou(found.xyxy());
            if truth.class == found.class && iou >= lowest {
                pairs.push(Pair { label, detection, iou });
            }
        }
        pairs[first..].sort_by(|a, b| b.iou.total_cmp(&a.iou));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::super::record::Label;
    use super::*;
    use caf_geometry::{Detection, Xyxy};

    fn found(x1: f32, x2: f32, score: f32) -> Detection {
        Detection { x1, y1: 0.0, x2, y2: 10.0, score, class: 0 }
    }

    fn hits(outcomes: &[Outcome]) -> usize {
        outcomes.iter().filter(|&&o| o == Outcome::Hit).count()
    }

    #[test]
    fn thresholds() {
        let t = iou_thresholds();
        assert_eq!((t[0], t[5], t[9]), (0.5, 0.75, 0.95));
        assert!(t.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn the_most_confident_wins_not_the_best_fit() {
        let record = ImageRecord {
            labels: vec![Label { class: 0, bbox: Xyxy::new(0.0, 0.0, 10.0, 10.0) }],
            detections: vec![found(0.0, 10.0, 0.5), found(0.0, 8.0, 0.9)],
            ignore: vec![],
        };
        let outcomes = match_image(&record);
        // The second (IoU 0.8) takes the label up to 0.8; above that it falls out and the first is the hit.
        assert_eq!((hits(&outcomes[0]), hits(&outcomes[1])), (3, 7));
        assert_eq!((outcomes[0][0], outcomes[0][9]), (Outcome::Miss, Outcome::Hit));
    }

    #[test]
    fn ignore_regions_spare_only_what_matches_nothing() {
        let record = ImageRecord {
            labels: vec![Label { class: 0, bbox: Xyxy::new(0.0, 0.0, 10.0, 10.0) }],
            detections: vec![found(0.0, 7.0, 0.9), found(20.0, 30.0, 0.8), found(26.0, 36.0, 0.7)],
            ignore: vec![Xyxy::new(0.0, 0.0, 10.0, 10.0), Xyxy::new(10.0, 0.0, 30.0, 10.0)],
        };
        let outcomes = match_image(&record);
        assert_eq!((outcomes[0][0], outcomes[0][9]), (Outcome::Hit, Outcome::Ignored));
        assert_eq!(outcomes[1], [Outcome::Ignored; 10]);
        assert_eq!(outcomes[2], [Outcome::Miss; 10], "only 40 % of it are covered");
    }
}
