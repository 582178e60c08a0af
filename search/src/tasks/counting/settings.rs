//! Settings of a counting network's training.

use crate::error::SearchError;
use crate::run_settings::{require, require_not_negative, require_positive};
use caf_net::zoo::density::DensityConfig;
use caf_net::zoo::network::{Network as _, Sides};
use caf_net::zoo::task::TaskNetworkConfig;
use caf_weights::Weights;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Its name.
pub(super) const KIND: &str = caf_contract::COUNTING.name;
/// Whole cells, as images of usual cameras have them.
pub(super) const SIDES: Sides = Sides { least_px: 8, multiple_of_px: 8 };
/// Parts of its loss: the squared differences of the maps are all of it.
pub(super) const PARTS: [&str; 1] = ["total"];
/// What is measured, of all classes together.
pub(super) const SCORES: [&str; 3] = ["accuracy", "MAE", "RMSE"];

/// Everything that decides how a counting network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CountingSettings {
    /// Channels of the first stage; without it those of the starting weights, and 16 where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Dilated layers; without it those of the starting weights, and 6 where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub around: Option<usize>,
    /// Starting weights: entries of equal name and shape are taken (with another number of classes all but the last layer), the rest
    /// starts fresh. None starts everything fresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Deviation of the Gaussian that stands for an object in the maps, pixels of the training images.
    pub sigma_px: f64,
    /// The optimiser's course.
    pub optimizer: OptimizerSettings,
}

/// AdamW. The rate falls to 0 at the end as a power of what is left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerSettings {
    /// Learning rate.
    pub rate: f64,
    /// Share of the past in the mean of gradients.
    pub beta1: f64,
    /// Share of the past in the mean of squared gradients.
    pub beta2: f64,
    /// Weight decay; none for parameters whose name has `norm` in it.
    pub decay: f64,
    /// Power of what is left of the run.
    pub power: f64,
}

impl Default for CountingSettings {
    fn default() -> Self {
        CountingSettings {
            width: None,
            around: None,
            init: None,
            sigma_px: 8.0,
            optimizer: OptimizerSettings::default(),
        }
    }
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        OptimizerSettings { rate: 1e-3, beta1: 0.9, beta2: 0.999, decay: 1e-4, power: 1.0 }
    }
}

impl CountingSettings {
    /// The network for so many classes, of the size of the weights that it starts from.
    pub(super) fn network(&self, classes: usize, init: Option<&Weights>) -> DensityConfig {
        let found = init.and_then(|weights| DensityConfig::recognise(weights));
        let base = found.map_or(DensityConfig::new(classes), |found| found.config);
        DensityConfig { width: self.width.unwrap_or(base.width), around: self.around.unwrap_or(base.around), classes }
    }

    /// Refuses settings out of range.
    pub(super) fn check(&self) -> Result<(), SearchError> {
        let o = &self.optimizer;
        require_positive("task.sigma_px", self.sigma_px)?;
        require_positive("task.optimizer.rate", o.rate)?;
        require_not_negative("task.optimizer.decay", o.decay)?;
        require_not_negative("task.optimizer.power", o.power)?;
        for (name, value) in [("task.optimizer.beta1", o.beta1), ("task.optimizer.beta2", o.beta2)] {
            require(name, (0.0..1.0).contains(&value), "0 to below 1", value)?;
        }
        // What is wrong with the network's own settings, its graph says.
        TaskNetworkConfig::from(self.network(1, None)).graph()?;
        Ok(())
    }
}

impl OptimizerSettings {
    /// The rate of an iteration, counted from 0, of a run of `end`.
    pub(super) fn rate(&self, iteration: usize, end: usize) -> f64 {
        self.rate * (1.0 - (iteration as f64 / end.max(1) as f64).min(1.0)).powf(self.power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_to_nothing_and_the_size_is_that_of_the_weights_unless_one_is_given() {
        let o = OptimizerSettings { rate: 2.0, power: 2.0, ..OptimizerSettings::default() };
        assert_eq!([0, 50, 100, 200].map(|i| o.rate(i, 100)), [2.0, 0.5, 0.0, 0.0]);
        let small = DensityConfig { width: 4, around: 2, classes: 9 };
        let graph = TaskNetworkConfig::from(small).graph().unwrap();
        let weights = caf_weights::initial(graph.params(), 5).unwrap();
        let mut settings = CountingSettings::default();
        assert_eq!(settings.network(3, Some(&weights)), DensityConfig { width: 4, around: 2, classes: 3 });
        settings.width = Some(8);
        assert_eq!(settings.network(3, Some(&weights)).width, 8);
        assert_eq!(CountingSettings::default().network(3, None), DensityConfig::new(3));
    }

    #[test]
    fn bad_values_are_named() {
        let usual = CountingSettings::default();
        usual.check().unwrap();
        let with = |optimizer| CountingSettings { optimizer, ..usual.clone() };
        let o = OptimizerSettings::default;
        for (settings, name) in [
            (CountingSettings { sigma_px: 0.0, ..usual.clone() }, "task.sigma_px"),
            (CountingSettings { width: Some(0), ..usual.clone() }, "width"),
            (with(OptimizerSettings { rate: f64::NAN, ..o() }), "task.optimizer.rate"),
            (with(OptimizerSettings { beta2: 1.0, ..o() }), "task.optimizer.beta2"),
        ] {
            let error = settings.check().unwrap_err();
            assert!(error.to_string().contains(name) && error.is_wrong_call(), "{error}");
        }
    }
}
