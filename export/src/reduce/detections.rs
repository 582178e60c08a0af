//! Detections of a model against the labels of a data set, whose classes are found by their names.

use super::frames::Frame;
use crate::error::ExportError;
use caf_contract::DetectionContract;
use caf_engine::{Array, Values};
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
    labels: usize,
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

    /// Adds what a model found on a frame; labels of classes that the detector does not know are left out.
    pub fn add(&mut self, frame: &Frame, outputs: &[(String, Array)]) -> Result<(), ExportError> {
        let predictions =
            outputs.iter().find(|(name, _)| *name == self.contract.output).map(|(_, array)| &array.values);
        let Some(Values::F32(rows)) = predictions else { return Ok(()) };
        // The first image, where the model takes several.
        let batch = frame.inputs.first().and_then(|(_, array)| array.shape.first()).copied().unwrap_or(1).max(1);
        let rows = rows.get(..rows.len() / batch).unwrap_or_default();
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
        self.labels += record.labels.len();
        Ok(self.measured.add(&record)?)
    }

    /// Mean average precision at IoU 0.5 over the classes with labels, in points; `None` without any label.
    pub fn map50_points(&self) -> Option<f64> {
        (self.labels > 0).then(|| 100.0 * self.measured.report().map50)
    }

    /// Labels counted.
    pub fn labels(&self) -> usize {
        self.labels
    }
}
