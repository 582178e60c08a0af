//! Detections of a model against the labels of a data set, whose classes are found by their names.

use super::TaskScore;
use crate::error::ExportError;
use crate::reduce::frames::Frame;
use caf_contract::DetectionContract;
use caf_engine::View;
use caf_eval::detection::{ImageRecord, Label, yolo::Yolo};
use caf_geometry::{Letterbox, NmsScratch, NmsSettings, nms_into};

/// Counts what a detector finds on labelled frames.
pub(super) struct Detections {
    contract: DetectionContract,
    /// For each class of the detector the data set's, where it has one of that name.
    classes: Vec<Option<u32>>,
    settings: NmsSettings,
    scratch: NmsScratch,
    measured: Yolo,
    labels: u64,
}

impl Detections {
    /// `None` when no class of the detector is one of the data set's.
    pub fn new(contract: &DetectionContract, names: &[String]) -> Option<Self> {
        let of = |name: &String| names.iter().position(|n| n == name).and_then(|i| u32::try_from(i).ok());
        let classes: Vec<Option<u32>> = contract.classes.iter().map(of).collect();
        let common = (0u32..).zip(&classes).filter(|(_, class)| class.is_some()).map(|(i, _)| i).collect::<Vec<_>>();
        let settings = NmsSettings { classes: Some(common.clone()), ..NmsSettings::validation() };
        let (scratch, measured) = (NmsScratch::default(), Yolo::new(names.len()));
        (!common.is_empty()).then(|| Detections {
            contract: contract.clone(),
            classes,
            settings,
            scratch,
            measured,
            labels: 0,
        })
    }
}

impl TaskScore for Detections {
    /// Labels of classes that the detector does not know are left out.
    fn add(&mut self, frame: &Frame, output: View<'_>) -> Result<(), ExportError> {
        let (true, View::F32(rows)) = (frame.is_labelled, output) else { return Ok(()) };
        let size = frame.sample.ir.size();
        let mut found = Vec::new();
        nms_into(rows, self.contract.classes.len(), &self.settings, &mut self.scratch, &mut found)?;
        Letterbox::within(size, self.contract.input)?.detections_to_source(&mut found);
        let of = |class: u32| self.classes.get(usize::try_from(class).ok()?).copied().flatten();
        let known = |class: u32| self.classes.contains(&Some(class));
        let detections = found.into_iter().filter_map(|d| Some(caf_geometry::Detection { class: of(d.class)?, ..d }));
        let labels = frame.sample.labels.iter().filter(|l| known(l.class));
        let record = ImageRecord {
            detections: detections.collect(),
            labels: labels.map(|l| Label { class: l.class, bbox: l.to_pixels(size) }).collect(),
            ignore: frame.sample.ignore.iter().map(|l| l.to_pixels(size)).collect(),
        };
        self.labels += record.labels.len() as u64;
        Ok(self.measured.add(&record)?)
    }

    fn labels(&self) -> u64 {
        self.labels
    }

    /// Mean average precision at IoU 0.5 over the classes with labels.
    fn points(&self) -> Option<f64> {
        (self.labels > 0).then(|| 100.0 * self.measured.report().map50)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::frame;
    use super::*;
    use caf_geometry::{Detection, Size, Xyxy};

    const IMAGE: Size = Size::new(128, 96);

    /// A detector of cars and people, whose image is half as large, behind a data set of people, lamps and cars.
    fn score() -> Detections {
        let classes = vec!["car".into(), "person".into()];
        let contract = DetectionContract { output: "predictions".into(), classes, input: Size::new(64, 48) };
        Detections::new(&contract, &["person", "lamp", "car"].map(str::to_owned)).unwrap()
    }

    fn label(class: u32, cx_px: f32, cy_px: f32) -> caf_image::Label {
        caf_image::Label { class, cx: cx_px / 128.0, cy: cy_px / 96.0, w: 32.0 / 128.0, h: 32.0 / 96.0 }
    }

    /// A row of the detector: a box around a point of the image, sure of a class.
    fn row(class: usize, cx_px: f32, cy_px: f32, score: f32) -> [f32; 7] {
        let mut row = [cx_px / 2.0, cy_px / 2.0, 16.0, 16.0, score, 0.0, 0.0];
        row[5 + class] = 1.0;
        row
    }

    fn points(pairs: &[(Vec<caf_image::Label>, Vec<[f32; 7]>)]) -> Option<f64> {
        let mut score = score();
        for (labels, rows) in pairs {
            score.add(&frame(IMAGE, labels.clone(), None), View::F32(rows.as_flattened())).unwrap();
        }
        score.points()
    }

    #[test]
    fn classes_are_found_by_name_and_boxes_in_the_image() {
        let labels = vec![label(0, 30.0, 40.0), label(2, 90.0, 50.0)];
        let all = points(&[(labels.clone(), vec![row(1, 30.0, 40.0, 0.9), row(0, 90.0, 50.0, 0.8)])]).unwrap();
        // Every label found: interpolation over 101 recalls leaves half a point.
        assert!((all - 99.5).abs() < 1e-6, "{all}");
        assert_eq!(points(&[(labels, vec![row(0, 30.0, 40.0, 0.9), row(1, 90.0, 50.0, 0.8)])]), Some(0.0));
    }

    #[test]
    fn the_score_is_that_of_the_metric_on_known_boxes() {
        let pairs = [
            // A lamp, which the detector does not know, is not asked of it.
            (
                vec![label(0, 30.0, 40.0), label(2, 90.0, 50.0), label(1, 60.0, 70.0)],
                vec![row(1, 30.0, 40.0, 0.9), row(1, 100.0, 20.0, 0.95)],
            ),
            (vec![label(2, 50.0, 50.0), label(0, 100.0, 40.0)], vec![row(0, 52.0, 50.0, 0.7), row(0, 20.0, 20.0, 0.6)]),
        ];
        let detection = |class, cx: f32, cy: f32, score| Detection {
            x1: cx - 16.0,
            y1: cy - 16.0,
            x2: cx + 16.0,
            y2: cy + 16.0,
            score,
            class,
        };
        let at = |class, cx: f32, cy: f32| Label {
            class,
            bbox: Xyxy { x1: cx - 16.0, y1: cy - 16.0, x2: cx + 16.0, y2: cy + 16.0 },
        };
        let mut metric = Yolo::new(3);
        let records = [
            ImageRecord {
                labels: vec![at(0, 30.0, 40.0), at(2, 90.0, 50.0)],
                detections: vec![detection(0, 100.0, 20.0, 0.95), detection(0, 30.0, 40.0, 0.9)],
                ignore: vec![],
            },
            ImageRecord {
                labels: vec![at(2, 50.0, 50.0), at(0, 100.0, 40.0)],
                detections: vec![detection(2, 52.0, 50.0, 0.7), detection(2, 20.0, 20.0, 0.6)],
                ignore: vec![],
            },
        ];
        records.iter().for_each(|record| metric.add(record).unwrap());
        let expected = 100.0 * metric.report().map50;
        assert_eq!(points(&pairs), Some(expected));
        assert!(expected > 10.0 && expected < 90.0, "{expected}");
    }

    #[test]
    fn what_nobody_looked_for_counts_for_nothing() {
        let mut score = score();
        let unlabelled = Frame { is_labelled: false, ..frame(IMAGE, vec![], None) };
        score.add(&unlabelled, View::F32(&row(0, 30.0, 40.0, 0.9))).unwrap();
        assert_eq!((score.points(), score.labels()), (None, 0));
        assert!(Detections::new(&score.contract, &["lamp".to_owned()]).is_none());
    }
}
