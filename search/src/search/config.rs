//! Settings of a search. The defaults are the paper's.

use crate::error::SearchError;
use crate::run_settings::{
    DataSettings, FusionSettings, RunSettings, require, require_batch, require_count, require_parts, require_positive,
};
use crate::tasks::TaskSettings;
use caf_fusion_loss::LossConfig;
use serde::{Deserialize, Serialize};

/// Everything that decides a search; unknown keys are refused, paths are relative to the current folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// How long, on what batches, and where it computes.
    pub run: RunSettings,
    /// Where pairs come from.
    pub data: DataSettings,
    /// The terms.
    pub loss: LossConfig,
    /// Which of the three steps an iteration takes.
    pub steps: StepSettings,
    /// How β moves.
    pub beta: BetaSettings,
    /// How the fusion network moves.
    pub fusion: FusionSettings,
    /// The task whose loss moves β, and how its network moves.
    pub task: TaskSettings,
    /// How ∂L_val/∂β is found.
    pub unrolled: UnrolledSettings,
}

/// Which of the three steps an iteration takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StepSettings {
    /// Whether the task network is trained along (paper); else it stays as it starts, which asks for weights that know the task
    /// (`task.init`).
    pub task: bool,
    /// Fusion steps for each β step (paper: 1). β then moves in every so many iterations.
    pub fusion_per_beta: usize,
}

impl Default for StepSettings {
    fn default() -> Self {
        StepSettings { task: true, fusion_per_beta: 1 }
    }
}

/// How β moves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BetaSettings {
    /// Adam's learning rate (paper: 5e-2).
    pub rate: f64,
    /// Adam's decay of the mean of gradients (0.9): nearer to 1, the noise of single batches counts less.
    pub momentum: f64,
    /// Validation pairs of a β step; `run.batch` without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Factor on the rate (paper: 0.998).
    pub decay: f64,
    /// How often the factor applies; the paper does not say.
    pub decay_every: DecayEvery,
    /// Iterations at the start in which β does not move, so that the fusion network has settled when its loss is judged.
    pub freeze_iterations: usize,
    /// Adam's learning rate of the fusion network in these iterations; `fusion.rate` without it. A large rate settles sooner, and a
    /// small one afterwards lets β see more than the last step's overshoot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze_fusion_rate: Option<f64>,
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

/// Which form of the hypergradient moves β.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Central finite difference, forward passes only (paper, Equation 3 with its missing factor −η). Kinks that it crosses put it
    /// 0.5 to 18 % off on the golden problems.
    Fd,
    /// The derivative that it approximates, carried forwards through the fusion network and the terms: exact to rounding, at
    /// about the same cost: less with features, a little more without.
    #[default]
    Exact,
}

/// Where β's derivative is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnrolledGradient {
    /// At ω_f after the fusion step, as Algorithm 1 orders the two: the fusion loss is differentiated again there.
    #[default]
    Own,
    /// At ω_f before the fusion step, with the gradient that this step takes: one pass forward and backward less through the fusion
    /// network and VGG-16. β and ω_f then move from the same place.
    FusionStep,
}

/// By what the task network normalises in the validation loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskStatistics {
    /// The batch's own mean and variance, as in training (paper). Takes out of an image what its kind has in common: a trained detector
    /// hardly tells a fused image from an infrared one so.
    #[default]
    Batch,
    /// Its running mean and variance, as when it is measured and on the vehicle. Needs a network that has been trained.
    Running,
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
    /// Where the derivative is taken.
    pub gradient: UnrolledGradient,
    /// By what the task network normalises in the validation loss.
    pub task_statistics: TaskStatistics,
    /// R = radius / ‖v‖ of the finite difference (published: 0.01).
    pub radius: f64,
    /// Iterations between two comparisons, logged; 0 for none: of both forms, and of the derivative before the fusion step, where β
    /// takes that, with the one after it.
    pub check_every: usize,
}

impl Default for BetaSettings {
    fn default() -> Self {
        BetaSettings {
            rate: 5e-2,
            momentum: 0.9,
            batch: None,
            decay: 0.998,
            decay_every: DecayEvery::Iteration,
            freeze_iterations: 0,
            freeze_fusion_rate: None,
        }
    }
}

impl Default for UnrolledSettings {
    fn default() -> Self {
        UnrolledSettings {
            eta: None,
            method: Method::default(),
            gradient: UnrolledGradient::Own,
            task_statistics: TaskStatistics::Batch,
            radius: 0.01,
            check_every: 50,
        }
    }
}

impl SearchConfig {
    /// Refuses settings out of range.
    ///
    /// # Errors
    /// [`SearchError::Setting`] with the name and the value, or that of the part a setting belongs to.
    pub fn check(&self) -> Result<(), SearchError> {
        self.run.check(self.task.kind().sides)?;
        self.data.check()?;
        let taught = self.steps.task || self.task.table().contains_key("init");
        let why = "trained weights (--init): the task network stays as it starts (steps.task = false, as in --preset settled)";
        require("task.init", taught, why, "none")?;
        require_count("steps.fusion_per_beta", self.steps.fusion_per_beta)?;
        require_positive("beta.rate", self.beta.rate)?;
        let momentum = self.beta.momentum;
        require("beta.momentum", (0.0..1.0).contains(&momentum), "0 or more and below 1", momentum)?;
        let batch = self.beta.batch.unwrap_or(self.run.batch);
        require_batch("beta.batch", batch)?;
        require_parts("beta.batch", batch)?;
        require("beta.decay", (0.0..=1.0).contains(&self.beta.decay), "0 to 1", self.beta.decay)?;
        self.beta.freeze_fusion_rate.map_or(Ok(()), |rate| require_positive("beta.freeze_fusion_rate", rate))?;
        self.fusion.check(self.run.size_px)?;
        require_positive("unrolled.radius", self.unrolled.radius)?;
        self.unrolled.eta.map_or(Ok(()), |eta| require_positive("unrolled.eta", eta))?;
        self.task.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load;
    use crate::tasks::DetectionSettings;
    use caf_geometry::Size;

    #[test]
    fn the_defaults_are_the_papers() {
        let c: SearchConfig = load(None, &[]).unwrap();
        assert_eq!(c, SearchConfig::default());
        assert_eq!((c.run.epochs, c.run.batch, c.run.size_px), (10, 8, Size::new(320, 320)));
        assert_eq!((c.beta.rate, c.beta.decay, c.fusion.rate), (5e-2, 0.998, 1e-4));
        let task: DetectionSettings = c.task.table().clone().try_into().unwrap();
        assert_eq!((c.task.kind().kind, task.variant), ("detection", None));
    }

    #[test]
    fn a_saved_configuration_reads_back() {
        let mut c = SearchConfig::default();
        c.run.iterations = Some(7);
        let text = toml::to_string_pretty(&c).unwrap();
        assert_eq!(toml::from_str::<SearchConfig>(&text).unwrap(), c);
    }

    #[test]
    fn unknown_keys_are_refused_in_every_table() {
        for text in ["epochs = 3", "[run]\nepoch = 3", "[data]\nlist = \"a\"", "[beta]\nrest = 1", "[task]\nrate = 1.0"]
        {
            assert!(toml::from_str::<SearchConfig>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let check = |text: &str| load::<SearchConfig>(None, &[text.to_owned()]).unwrap().check();
        for (text, name) in [
            ("run.size_px=[320, 100]", "run.size_px"),
            ("run.size_px=[320, 8224]", "run.size_px"),
            ("run.iterations=0", "run.iterations"),
            ("run.batch=9000000000000000000", "run.batch"),
            ("run.epochs=9000000000000000000", "run.epochs"),
            ("run.threads=100000", "run.threads"),
            ("run.save_every=0", "run.save_every"),
            ("steps.fusion_per_beta=0", "steps.fusion_per_beta"),
            ("steps.task=false", "steps.task"),
            ("beta.momentum=1.0", "beta.momentum"),
            ("beta.batch=0", "beta.batch"),
            ("data.workers=0", "data.workers"),
            ("data.crops_on_objects=1.5", "data.crops_on_objects"),
            ("data.ir_range={ percentile = { low = 9.0, high = 1.0 } }", "ir_range"),
            ("task.optimizer.rate=-1.0", "rate"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.to_string().contains(name) && error.is_wrong_call(), "{error}");
        }
        let mut small = SearchConfig::default();
        (small.run.batch, small.run.size_px) = (1, Size::new(32, 32));
        assert!(small.check().unwrap_err().to_string().contains("run.batch"));
        small.run.size_px = Size::new(32, 64);
        small.check().unwrap();
        (small.run.batch, small.run.size_px) = (2, Size::new(32, 32));
        small.check().unwrap();
    }
}
