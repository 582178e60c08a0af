//! The tables of a study's settings.

use crate::run_settings::FusionSettings;
use crate::task_training::TaskTrainConfig;
use crate::tasks::TaskSettings;
use caf_data::augment::ScaleShiftSettings;
use caf_geometry::Size;
use caf_image::rule::{AVERAGE, INFRARED, Rule, VISIBLE};
use caf_net::zoo::fusion::FusionConfig;
use caf_scene::{Condition, DatasetSpec};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a study computes; the table `[run]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Machine {
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    pub device: String,
    /// Threads of libtorch on the CPU; 0 leaves the choice to it.
    pub threads: usize,
}

impl Default for Machine {
    fn default() -> Self {
        Machine { device: "auto".to_owned(), threads: 0 }
    }
}

/// Pairs to render; the table `[scenes]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SceneSettings {
    /// Pairs in all, each of a scene of its own.
    pub count: usize,
    /// Seed of the scenes.
    pub seed: u64,
    /// Width and height of both images.
    #[serde(with = "caf_geometry::size::as_pair")]
    pub size_px: Size,
    /// Share of the pairs that go to `val.txt`.
    pub val_share: f64,
    /// Conditions that the scenes go through in turn; all without it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

impl Default for SceneSettings {
    fn default() -> Self {
        SceneSettings { count: 400, seed: 1, size_px: Size::new(256, 192), val_share: 0.25, conditions: Vec::new() }
    }
}

impl SceneSettings {
    pub(super) fn spec(&self) -> DatasetSpec {
        DatasetSpec {
            count: self.count,
            seed: self.seed,
            size: self.size_px,
            conditions: self.conditions.clone(),
            frames_per_scene: 1,
            val_share: self.val_share,
            replace: false,
        }
    }
}

/// How fusion networks are trained; the table `[fusion]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FusionPart {
    /// Iterations.
    pub iterations: usize,
    /// Crops in a batch.
    pub batch: usize,
    /// Width and height of the crops.
    #[serde(with = "caf_geometry::size::as_pair")]
    pub size_px: Size,
    /// Iterations between two checkpoints.
    pub save_every: usize,
    /// Adam's learning rate.
    pub rate: f64,
    /// Share of it left in the last iteration; in between it falls linearly. Without it the rate stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_share: Option<f64>,
    /// Which network.
    pub network: FusionConfig,
    /// Weights to start from; fresh ones without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
}

impl Default for FusionPart {
    fn default() -> Self {
        let FusionSettings { network, rate, final_share, init } = FusionSettings::default();
        FusionPart {
            iterations: 1000,
            batch: 8,
            size_px: Size::new(320, 320),
            save_every: 20,
            rate,
            final_share,
            network,
            init,
        }
    }
}

/// Training of a task network; the tables `[p2]` and `[p1.train]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskPart {
    /// Iterations.
    pub iterations: usize,
    /// Images in a batch.
    pub batch: usize,
    /// Width and height of the network's input.
    #[serde(with = "caf_geometry::size::as_pair")]
    pub size_px: Size,
    /// Iterations between two checkpoints.
    pub save_every: usize,
    /// Random views.
    pub augment: ScaleShiftSettings,
    /// The task.
    pub task: TaskSettings,
}

impl Default for TaskPart {
    fn default() -> Self {
        let TaskTrainConfig { run, augment, task, .. } = TaskTrainConfig::default();
        TaskPart { iterations: 1000, batch: run.batch, size_px: run.size_px, save_every: run.save_every, augment, task }
    }
}

/// The frozen task network; the table `[p1]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrozenSettings {
    /// Its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Width and height of a detector's input; that of its training without it.
    #[serde(with = "caf_geometry::size::as_optional_pair", skip_serializing_if = "Option::is_none")]
    pub size_px: Option<Size>,
    /// In place of a file: it is trained once, as a job of the study, on the training pairs, an equal share of them as each of
    /// `images`, so that no kind of image has a head start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<TaskPart>,
    /// Kinds of images that it is trained on [default: visible, infrared and average].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Rule>,
    /// Seed of its training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl FrozenSettings {
    /// Kinds of images that it is trained on.
    pub fn kinds(&self) -> &[Rule] {
        const DEFAULT: [Rule; 3] = [VISIBLE, INFRARED, AVERAGE];
        if self.images.is_empty() { &DEFAULT } else { &self.images }
    }
}
