//! Average precision by the rules of the COCO benchmark: 101 recall points without interpolation, object sizes, limits on
//! the number of detections.

use serde::Serialize;

use super::record::{IGNORE_COVERAGE, validate_image};
use super::rule::{Column, Findings, Measure, Rule, decimals};
use crate::EvalError;

/// IoU thresholds, 0.50 to 0.95.
pub const IOU_THRESHOLDS: usize = 10;
/// Recalls at which the precision is read, 0.00 to 1.00.
pub const RECALLS: usize = 101;
const RECALL_STEP: f64 = 1.0 / (RECALLS - 1) as f64;
/// Guards the quotient of hits and detections.
const EPS: f64 = f64::EPSILON;
/// No threshold is higher, so that equal boxes always match.
const NEARLY_ONE: f64 = 1.0 - 1e-10;

/// Left, top, width, height in pixels, 64-bit as in the benchmark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Xywh {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl Xywh {
    fn area(self) -> f64 {
        self.w * self.h
    }

    fn intersection(self, other: Self) -> f64 {
        let w = (self.x + self.w).min(other.x + other.w) - self.x.max(other.x);
        let h = (self.y + self.h).min(other.y + other.h) - self.y.max(other.y);
        if w > 0.0 && h > 0.0 { w * h } else { 0.0 }
    }

    fn iou(self, other: Self) -> f64 {
        let shared = self.intersection(other);
        if shared > 0.0 { shared / (self.area() + other.area() - shared) } else { 0.0 }
    }

    fn is_finite(self) -> bool {
        [self.x, self.y, self.w, self.h].iter().all(|v| v.is_finite())
    }
}

impl From<caf_geometry::Xyxy> for Xywh {
    fn from(b: caf_geometry::Xyxy) -> Self {
        let [x1, y1, x2, y2] = [b.x1, b.y1, b.x2, b.y2].map(f64::from);
        Self { x: x1, y: y1, w: x2 - x1, h: y2 - y1 }
    }
}

/// One image: labels by class, ignore regions for all classes, detections in any order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// Class and box of each object.
    pub labels: Vec<(u32, Xywh)>,
    /// Regions in which an unmatched detection is not counted, see the parent module.
    pub ignore: Vec<Xywh>,
    /// Class, box and score of each detection.
    pub detections: Vec<(u32, Xywh, f64)>,
}

impl From<&super::ImageRecord> for Image {
    fn from(record: &super::ImageRecord) -> Self {
        Self {
            labels: record.labels.iter().map(|l| (l.class, l.bbox.into())).collect(),
            ignore: record.ignore.iter().map(|&b| b.into()).collect(),
            detections: record.detections.iter().map(|d| (d.class, d.xyxy().into(), f64::from(d.score))).collect(),
        }
    }
}

/// Sizes of objects, by area in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectSize {
    /// Every object.
    All,
    /// Up to 32².
    Small,
    /// 32² to 96².
    Medium,
    /// From 96².
    Large,
}

impl ObjectSize {
    /// The four, in the benchmark's order.
    pub const ALL: [Self; 4] = [Self::All, Self::Small, Self::Medium, Self::Large];

    fn contains(self, area: f64) -> bool {
        let (low, high) = match self {
            Self::All => (0.0, 1e10),
            Self::Small => (0.0, 1024.0),
            Self::Medium => (1024.0, 9216.0),
            Self::Large => (9216.0, 1e10),
        };
        (low..=high).contains(&area)
    }
}

/// Precision and recall of one size and one limit of detections per image and class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// Objects that count.
    pub size: ObjectSize,
    /// Most confident detections per image and class that count.
    pub max_detections: usize,
    /// By class: `None` when the class has no label of that size, else precision `[IoU][recall]` and final recall `[IoU]`.
    #[serde(skip)]
    pub classes: Vec<Option<ClassTable>>,
}

/// Precision `[IoU threshold][recall point]` and final recall `[IoU threshold]` of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassTable {
    /// Precision, in [0, 1].
    pub precision: [[f64; RECALLS]; IOU_THRESHOLDS],
    /// Recall after the last detection, in [0, 1].
    pub recall: [f64; IOU_THRESHOLDS],
}

impl ClassTable {
    /// Average precision over all thresholds.
    pub fn ap(&self) -> f64 {
        self.precision.iter().flatten().sum::<f64>() / (IOU_THRESHOLDS * RECALLS) as f64
    }

    /// Average precision at one threshold; 0 is IoU 0.50, 5 is 0.75. 0 beyond the last threshold.
    pub fn ap_at(&self, threshold: usize) -> f64 {
        self.precision.get(threshold).map_or(0.0, |row| row.iter().sum::<f64>() / RECALLS as f64)
    }

    /// Recall, averaged over the thresholds.
    pub fn ar(&self) -> f64 {
        self.recall.iter().sum::<f64>() / IOU_THRESHOLDS as f64
    }
}

impl Table {
    fn mean(&self, value: impl Fn(&ClassTable) -> f64) -> Option<f64> {
        let values: Vec<f64> = self.classes.iter().flatten().map(value).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// Mean over the labelled classes of the average precision; `None` without labels.
    pub fn ap(&self) -> Option<f64> {
        self.mean(ClassTable::ap)
    }

    /// The same at one threshold; 0 is IoU 0.50, 5 is 0.75.
    pub fn ap_at(&self, threshold: usize) -> Option<f64> {
        self.mean(|c| c.ap_at(threshold))
    }

    /// Mean recall.
    pub fn ar(&self) -> Option<f64> {
        self.mean(ClassTable::ar)
    }
}

/// Detections kept per image and class by the benchmark's main numbers.
pub const USUAL_LIMIT: usize = 100;

/// COCO's rule among all rules.
pub(super) const RULE: Rule = Rule {
    name: "coco",
    about: "what the COCO benchmark reports: AP at 101 recalls, by size of the objects, 100 detections per image and class",
    start: |classes| Box::new(Coco { sizes: ObjectSize::ALL.map(|size| Evaluation::new(classes, size, USUAL_LIMIT)) }),
};

/// The four sizes together.
struct Coco {
    sizes: [Evaluation; 4],
}

impl Measure for Coco {
    fn accumulate(&mut self, image: &super::ImageRecord) -> Result<(), EvalError> {
        let image = Image::from(image);
        self.sizes.iter_mut().try_for_each(|size| size.add(&image))
    }

    fn finish(&self) -> Findings {
        let tables = self.sizes.each_ref().map(Evaluation::table);
        let [all, ..] = &tables;
        let column = |name, mean, value: &dyn Fn(&ClassTable) -> f64| {
            Column::new(name, mean, all.classes.iter().map(|c| c.as_ref().map(value)))
        };
        let sizes = tables.iter().map(|t| {
            let size = format!("{:?}", t.size).to_lowercase();
            format!("{size} AP {} AR {}", decimals(t.ap()), decimals(t.ar()))
        });
        Findings {
            columns: vec![
                column("COCO AP50", all.ap_at(0), &|c| c.ap_at(0)),
                column("COCO AP", all.ap(), &ClassTable::ap),
            ],
            notes: vec![format!("COCO by size: {}", sizes.collect::<Vec<_>>().join("; "))],
            details: tables.iter().map(Table::details).collect(),
        }
    }
}

impl Table {
    fn details(&self) -> serde_json::Value {
        let per_class = |value: fn(&ClassTable) -> f64| -> Vec<Option<f64>> {
            self.classes.iter().map(|c| c.as_ref().map(value)).collect()
        };
        serde_json::json!({
            "size": self.size, "max_detections": self.max_detections,
            "ap": self.ap(), "ap50": self.ap_at(0), "ap75": self.ap_at(5), "ar": self.ar(),
            "class_ap": per_class(ClassTable::ap), "class_ar": per_class(ClassTable::ar),
        })
    }
}

/// One size and one limit of detections per image and class, as images are added.
#[derive(Clone, Debug)]
pub struct Evaluation {
    size: ObjectSize,
    max_detections: usize,
    images: usize,
    classes: Vec<OfClass>,
}

/// What was seen of one class.
#[derive(Clone, Debug, Default)]
struct OfClass {
    labels: usize,
    ranked: Vec<(f64, Counted)>,
}

impl Evaluation {
    /// Nothing seen yet.
    pub fn new(classes: usize, size: ObjectSize, max_detections: usize) -> Self {
        Self { size, max_detections, images: 0, classes: vec![OfClass::default(); classes] }
    }

    /// Adds one image.
    ///
    /// # Errors
    /// [`EvalError::Class`] for a class out of range, [`EvalError::NotFinite`] for NaN or infinity; nothing is added then.
    pub fn add(&mut self, image: &Image) -> Result<(), EvalError> {
        let labels = image.labels.iter().map(|(c, b)| (*c, b.is_finite()));
        let detections = image.detections.iter().map(|(c, b, s)| (*c, b.is_finite() && s.is_finite()));
        let regions = image.ignore.iter().map(|b| b.is_finite());
        validate_image(self.images, self.classes.len(), labels, detections, regions)?;
        self.images += 1;
        for (class, of_class) in (0u32..).zip(&mut self.classes) {
            let truths: Vec<Xywh> = image.labels.iter().filter(|(c, _)| *c == class).map(|(_, b)| *b).collect();
            of_class.labels += truths.iter().filter(|b| self.size.contains(b.area())).count();
            let mut found: Vec<(Xywh, f64)> =
                image.detections.iter().filter(|(c, ..)| *c == class).map(|(_, b, s)| (*b, *s)).collect();
            found.sort_by(|a, b| b.1.total_cmp(&a.1));
            found.truncate(self.max_detections);
            let outcomes = match_class(&truths, &found, &image.ignore, self.size);
            of_class.ranked.extend(found.iter().map(|f| f.1).zip(outcomes));
        }
        Ok(())
    }

    /// The result over all images added.
    pub fn table(&self) -> Table {
        let classes = self.classes.iter().map(OfClass::table).collect();
        Table { size: self.size, max_detections: self.max_detections, classes }
    }
}

/// Evaluates `images` with `classes` classes for objects of one size; per image and class only the `max_detections` most
/// confident detections count.
///
/// # Errors
/// [`EvalError::Class`] for a class out of range, [`EvalError::NotFinite`] for NaN or infinity.
pub fn evaluate(images: &[Image], classes: usize, size: ObjectSize, max_detections: usize) -> Result<Table, EvalError> {
    let mut evaluation = Evaluation::new(classes, size, max_detections);
    images.iter().try_for_each(|image| evaluation.add(image))?;
    Ok(evaluation.table())
}

/// What a detection is at each threshold: `Some(true)` a hit, `Some(false)` a false positive, `None` not counted.
type Counted = [Option<bool>; IOU_THRESHOLDS];

impl OfClass {
    /// `None` without a label.
    fn table(&self) -> Option<ClassTable> {
        let labels = self.labels;
        let mut ranked = self.ranked.clone();
        if labels == 0 {
            return None;
        }
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut table = ClassTable { precision: [[0.0; RECALLS]; IOU_THRESHOLDS], recall: [0.0; IOU_THRESHOLDS] };
        for (t, (row, last)) in table.precision.iter_mut().zip(&mut table.recall).enumerate() {
            let (mut hits, mut misses) = (0usize, 0usize);
            let (mut recall, mut precision) = (vec![], vec![]);
            for hit in ranked.iter().filter_map(|(_, counted)| counted[t]) {
                if hit {
                    hits += 1
                } else {
                    misses += 1
                }
                recall.push(hits as f64 / labels as f64);
                precision.push(hits as f64 / ((hits + misses) as f64 + EPS));
            }
            for i in (1..precision.len()).rev() {
                precision[i - 1] = precision[i - 1].max(precision[i]);
            }
            for (r, out) in row.iter_mut().enumerate() {
                // Multiples of 0.01 as the benchmark forms them; a quotient differs in the last bit and then in the reading.
                let wanted = if r + 1 == RECALLS { 1.0 } else { r as f64 * RECALL_STEP };
                *out = precision.get(recall.partition_point(|&v| v < wanted)).copied().unwrap_or(0.0);
            }
            *last = recall.last().copied().unwrap_or(0.0);
        }
        Some(table)
    }
}

/// Greedy matching in order of confidence: each detection takes the free label with the highest IoU at or above the
/// threshold, one of the wanted size before any other.
fn match_class(truths: &[Xywh], found: &[(Xywh, f64)], ignore: &[Xywh], size: ObjectSize) -> Vec<Counted> {
    let mut order: Vec<usize> = (0..truths.len()).collect();
    let outside: Vec<bool> = truths.iter().map(|b| !size.contains(b.area())).collect();
    order.sort_by_key(|&i| outside[i]);
    let step = (0.95 - 0.5) / (IOU_THRESHOLDS - 1) as f64;
    let thresholds: [f64; IOU_THRESHOLDS] =
        std::array::from_fn(|t| if t + 1 == IOU_THRESHOLDS { 0.95 } else { 0.5 + step * t as f64 });
    let mut taken = vec![[false; IOU_THRESHOLDS]; truths.len()];
    let outcome = |(detection, _): &(Xywh, f64)| {
        let ious: Vec<f64> = truths.iter().map(|b| detection.iou(*b)).collect();
        let area = detection.area();
        let spared = !size.contains(area)
            || ignore.iter().any(|r| area > 0.0 && detection.intersection(*r) / area >= f64::from(IGNORE_COVERAGE));
        std::array::from_fn(|t| {
            let (mut best, mut chosen) = (thresholds[t].min(NEARLY_ONE), None::<usize>);
            for &label in &order {
                if taken[label][t] {
                    continue;
                }
                if chosen.is_some_and(|c| !outside[c]) && outside[label] {
                    break;
                }
                if ious[label] >= best {
                    (best, chosen) = (ious[label], Some(label));
                }
            }
            match chosen {
                Some(label) => {
                    taken[label][t] = true;
                    (!outside[label]).then_some(true)
                }
                None => (!spared).then_some(false),
            }
        })
    };
    found.iter().map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignore_regions_and_sizes() {
        let b = |x: f64| Xywh { x, y: 0.0, w: 10.0, h: 10.0 };
        let mut image =
            Image { labels: vec![(0, b(0.0))], ignore: vec![], detections: vec![(0, b(50.0), 0.9), (0, b(0.0), 0.8)] };
        let ap = |i: &Image, size| evaluate(std::slice::from_ref(i), 2, size, 100).unwrap().ap();
        assert!((ap(&image, ObjectSize::All).unwrap() - 0.5).abs() < 1e-12);
        image.ignore = vec![b(45.0)];
        assert!((ap(&image, ObjectSize::All).unwrap() - 1.0).abs() < 1e-12);
        assert!((ap(&image, ObjectSize::Small).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(ap(&image, ObjectSize::Large), None);
        assert!(evaluate(&[image], 0, ObjectSize::All, 1).is_err());
    }
}
