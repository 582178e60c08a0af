//! What a bundle says of itself.

use crate::key::PublicKey;
use crate::name::FileName;
use caf_contract::{IrRange, Precision, Source};
use caf_file::Sha256Hash;
use caf_geometry::NmsSettings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The manifest: what the bundle is, and every other file in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `caf-bundle`.
    pub format: String,
    /// [`VERSION`](crate::VERSION) at the time of writing.
    pub version: u32,
    /// Whose signature lies beside; none of a bundle without one.
    pub signer: Option<PublicKey>,
    /// Inputs of the probe set and what the network should make of them.
    pub probes: FileName,
    /// How 16-bit infrared becomes [0, 1]: as in the training of the network.
    pub infrared_range: IrRange,
    /// What made it.
    pub made: Made,
    /// What the models do besides fusing, in the order of their outputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskEntry>,
    /// What counts as a detection; present where a task has thresholds, and only there.
    pub detection: Option<Thresholds>,
    /// Where the cameras look.
    pub rig: Option<RigEntry>,
    /// The network at one precision each; the first is the one to use where nobody chooses.
    pub models: Vec<ModelEntry>,
    /// Every file but the manifest and its signature, sorted by name.
    pub files: Vec<FileEntry>,
}

/// What made a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// Program and version.
    pub program: String,
    /// The weights β of the loss that the fusion network was trained with: the result of a search.
    pub beta: Option<FileName>,
    /// The record of the run that trained it.
    pub run: Option<FileName>,
    /// Weight files that the models came from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

/// A task of the models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskEntry {
    /// Its name, as a contract has it.
    pub task: String,
    /// Class names by number.
    pub classes: Vec<String>,
    /// The same as a file, one a line, for programs that want one.
    pub classes_file: FileName,
}

/// What counts as a detection.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Least score, in [0, 1].
    pub score: f64,
    /// Boxes of one class that overlap more than this are one object, in [0, 1].
    pub iou: f64,
    /// Most detections of an image.
    pub max_detections: usize,
    /// Every class of a box above `score` is a detection of its own, not just the best one.
    pub multi_label: bool,
}

impl Default for Thresholds {
    fn default() -> Self {
        let NmsSettings { iou, multi_label, max_det, .. } = NmsSettings::default();
        // NmsSettings' own, 0.25, which is the same number in both widths.
        Self { score: 0.25, iou, max_detections: max_det, multi_label }
    }
}

impl From<Thresholds> for NmsSettings {
    fn from(thresholds: Thresholds) -> Self {
        let Thresholds { score, iou, max_detections, multi_label } = thresholds;
        Self { conf: score as f32, iou, max_det: max_detections, multi_label, ..Self::default() }
    }
}

/// Where the cameras look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RigEntry {
    /// The rig file.
    pub file: FileName,
    /// Distance in metres at which the aligned images match best, above 0, where the rig leaves the choice.
    pub distance_m: Option<f64>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// The ONNX file.
    pub file: FileName,
    /// Numeric precision of its weights and arithmetic; no two models have the same.
    pub precision: Precision,
    /// Weights that lie outside the ONNX file, in its folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_data: Vec<FileName>,
    /// Its ports for GStreamer.
    pub modelinfo: FileName,
    /// What the lower precision cost; present where it is lower than fp32, and only there.
    pub loss: Option<MeasuredLoss>,
}

/// What a lower precision cost, against the fp32 model on pairs that neither training nor calibration saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredLoss {
    /// Pairs it was measured on; at least 1.
    pub pairs: usize,
    /// PSNR of the fused images in dB, those of fp32 as reference: the mean over the pairs. Of a model that fuses, as all of a bundle do.
    pub fused_psnr_db: Option<f64>,
    /// SSIM likewise, at most 1.
    pub fused_ssim: Option<f64>,
    /// How much mutual information with the sources was lost, in bits; below 0 where there is more.
    pub mutual_information_lost: Option<f64>,
    /// How much visual information fidelity was lost, likewise.
    pub vif_lost: Option<f64>,
    /// How many points of each task's score ([`caf_contract::Task::score`]) were lost, likewise, by the name of the task.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub points_lost: BTreeMap<String, f64>,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A model, ONNX.
    Model,
    /// Weights of a model that lie outside its file.
    ExternalData,
    /// A rig.
    Rig,
    /// Class names, one a line.
    Classes,
    /// Inputs and the outputs they should give, safetensors.
    Probes,
    /// What the models were made by.
    Provenance,
    /// A model's ports for GStreamer's inference elements.
    Modelinfo,
    /// Something for people.
    Report,
}

impl Role {
    /// Its name, as the manifest has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::ExternalData => "external_data",
            Self::Rig => "rig",
            Self::Classes => "classes",
            Self::Probes => "probes",
            Self::Provenance => "provenance",
            Self::Modelinfo => "modelinfo",
            Self::Report => "report",
        }
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Where it lies.
    pub path: FileName,
    /// What it is for.
    pub role: Role,
    /// Its size.
    pub bytes: u64,
    /// Its hash.
    pub sha256: Sha256Hash,
}

impl Manifest {
    /// The entry of a file.
    #[must_use]
    pub fn file(&self, name: &FileName) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.path == *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_named_as_they_are_written_and_thresholds_are_those_of_the_detector() {
        use Role::{Classes, ExternalData, Model, Modelinfo, Probes, Provenance, Report, Rig};
        for role in [Model, ExternalData, Rig, Classes, Probes, Provenance, Modelinfo, Report] {
            assert_eq!(toml::Value::try_from(role).unwrap().as_str(), Some(role.name()));
        }
        let usual = NmsSettings::default();
        assert_eq!(NmsSettings::from(Thresholds::default()), usual);
        assert_eq!(Thresholds::default().score, f64::from(usual.conf));
    }
}
