//! Settings of a search. The defaults are the paper's.

use crate::error::SearchError;
use crate::learning::{Course, DataSettings, FusionSettings, Sides, require, require_positive};
use caf_fusion_loss::LossConfig;
use caf_net::zoo::yolov5::Variant;
use caf_yolo::Hyp;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that decides a search; unknown keys are refused, paths are relative to the current folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Seed of every random choice.
    pub seed: u64,
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    pub device: String,
    /// Threads of libtorch on the CPU; 0 leaves the choice to it.
    pub threads: usize,
    /// Passes over the training half (paper: 10).
    pub epochs: usize,
    /// Iterations in all, in place of `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterations: Option<usize>,
    /// Pairs in a batch (published: 8).
    pub batch: usize,
    /// Width and height of the crops in pixels, multiples of 32 (published: 320×320).
    pub crop_px: [usize; 2],
    /// Share of the crops that are placed on an object, 0–1; the others, all by default, lie anywhere. Worth raising where crops
    /// are small: the task's loss on a crop without objects says little about fusion.
    pub crops_on_objects: f64,
    /// Iterations between two checkpoints; 1 loses at most the running iteration.
    pub save_every: usize,
    /// Where pairs come from.
    pub data: DataSettings,
    /// The terms.
    pub loss: LossConfig,
    /// How β moves.
    pub beta: BetaSettings,
    /// How the fusion network moves.
    pub fusion: FusionSettings,
    /// How the task network moves.
    pub task: TaskSettings,
    /// How ∂L_val/∂β is found.
    pub unrolled: UnrolledSettings,
}

/// How β moves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BetaSettings {
    /// Adam's learning rate (paper: 5e-2).
    pub rate: f64,
    /// Factor on the rate (paper: 0.998).
    pub decay: f64,
    /// How often the factor applies; the paper does not say.
    pub decay_every: DecayEvery,
    /// Iterations at the start in which β rests, so that the networks can say something first.
    pub rest: usize,
}

/// How often a factor applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecayEvery {
    /// Every iteration.
    #[default]
    Iteration,
    /// Every epoch.
    Epoch,
}

/// How the task network moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskSettings {
    /// Size of YOLOv5 (paper: s).
    pub variant: Variant,
    /// Weights to start from (`.safetensors`, or an original `.pt`); entries of equal name and shape are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Learning rate after warm-up.
    pub rate: f64,
    /// Iterations of warm-up.
    pub warmup: usize,
    /// Settings of its loss.
    pub hyp: Hyp,
    /// Whether it sees the fused image with the colours of the visible one; in gray otherwise.
    pub colour: bool,
}

/// Which form of the hypergradient moves β.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Central finite difference, forward passes only (paper, Equation 3 with its missing factor −η).
    #[default]
    Fd,
    /// Directional derivative by double backward through the fusion network.
    Exact,
}

/// How ∂L_val/∂β is found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UnrolledSettings {
    /// η of the unrolled step; the fusion network's learning rate without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<f64>,
    /// Which form moves β.
    pub method: Method,
    /// R = radius / ‖v‖ (published: 0.01).
    pub radius: f64,
    /// Iterations between two comparisons of both forms, logged; 0 for none.
    pub check_every: usize,
}

impl Default for SearchConfig {
    fn default() -> Self {
        SearchConfig {
            seed: 1,
            device: "auto".to_owned(),
            threads: 0,
            epochs: 10,
            iterations: None,
            batch: 8,
            crop_px: [320, 320],
            crops_on_objects: 0.0,
            save_every: 1,
            data: DataSettings::default(),
            loss: LossConfig::default(),
            beta: BetaSettings::default(),
            fusion: FusionSettings::default(),
            task: TaskSettings::default(),
            unrolled: UnrolledSettings::default(),
        }
    }
}

impl Default for BetaSettings {
    fn default() -> Self {
        BetaSettings { rate: 5e-2, decay: 0.998, decay_every: DecayEvery::Iteration, rest: 0 }
    }
}

impl Default for TaskSettings {
    fn default() -> Self {
        TaskSettings { variant: Variant::S, init: None, rate: 0.01, warmup: 100, hyp: Hyp::default(), colour: true }
    }
}

impl Default for UnrolledSettings {
    fn default() -> Self {
        UnrolledSettings { eta: None, method: Method::Fd, radius: 0.01, check_every: 50 }
    }
}

impl SearchConfig {
    /// Refuses settings out of range.
    ///
    /// # Errors
    /// [`SearchError::Setting`] with the name and the value, or that of the part a setting belongs to.
    pub fn check(&self) -> Result<(), SearchError> {
        // The detector's coarsest level has a stride of 32.
        self.course().check(Sides { least: 32, multiple_of: 32 })?;
        require_positive("beta.rate", self.beta.rate)?;
        require("beta.decay", (0.0..=1.0).contains(&self.beta.decay), "0 to 1", self.beta.decay)?;
        self.fusion.check(self.crop_px)?;
        require_positive("task.rate", self.task.rate)?;
        require_positive("unrolled.radius", self.unrolled.radius)?;
        self.unrolled.eta.map_or(Ok(()), |eta| require_positive("unrolled.eta", eta))?;
        Ok(self.task.hyp.check()?)
    }

    /// Its length and batches.
    pub(crate) fn course(&self) -> Course {
        Course {
            seed: self.seed,
            threads: self.threads,
            epochs: self.epochs,
            iterations: self.iterations,
            batch: self.batch,
            crop_px: self.crop_px,
            crops_on_objects: self.crops_on_objects,
            save_every: self.save_every,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load;

    #[test]
    fn the_defaults_are_the_papers() {
        let c: SearchConfig = load(None, &[]).unwrap();
        assert_eq!(c, SearchConfig::default());
        assert_eq!((c.epochs, c.batch, c.crop_px), (10, 8, [320, 320]));
        assert_eq!((c.beta.rate, c.beta.decay, c.fusion.rate), (5e-2, 0.998, 1e-4));
        assert_eq!(c.task.variant, Variant::S);
    }

    #[test]
    fn a_saved_configuration_reads_back() {
        let c = SearchConfig { iterations: Some(7), ..SearchConfig::default() };
        let text = toml::to_string_pretty(&c).unwrap();
        assert_eq!(toml::from_str::<SearchConfig>(&text).unwrap(), c);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let bad = SearchConfig { crop_px: [320, 100], ..SearchConfig::default() };
        let error = bad.check().unwrap_err().to_string();
        assert!(error.contains("crop_px") && error.contains("100"), "{error}");
        for (bad, name) in [
            (SearchConfig { iterations: Some(0), ..SearchConfig::default() }, "iterations"),
            (SearchConfig { batch: usize::MAX, ..SearchConfig::default() }, "batch"),
            (SearchConfig { batch: 1, crop_px: [32, 32], ..SearchConfig::default() }, "batch"),
            (SearchConfig { epochs: usize::MAX, ..SearchConfig::default() }, "epochs"),
            (SearchConfig { crop_px: [320, 8224], ..SearchConfig::default() }, "crop_px"),
            (SearchConfig { threads: 100_000, ..SearchConfig::default() }, "threads"),
            (SearchConfig { save_every: 0, ..SearchConfig::default() }, "save_every"),
        ] {
            let error = bad.check().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        SearchConfig { batch: 1, crop_px: [32, 64], ..SearchConfig::default() }.check().unwrap();
        SearchConfig { batch: 2, crop_px: [32, 32], ..SearchConfig::default() }.check().unwrap();
    }
}
