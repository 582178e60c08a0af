//! Settings of a segmentation network's training.

use crate::error::SearchError;
use crate::run_settings::{require, require_not_negative, require_positive};
use caf_net::zoo::network::{Network as _, Sides};
use caf_net::zoo::segformer::{Epsilons, SegFormerConfig, Variant};
use caf_weights::Weights;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Its name.
pub(super) const KIND: &str = caf_contract::SEGMENTATION.name;
/// The network divides its input by up to 32, and normalises at a quarter of it.
pub(super) const SIDES: Sides = Sides { least_px: 32, multiple_of_px: 32 };
/// Parts of its loss: the cross-entropy is all of it.
pub(super) const PARTS: [&str; 1] = ["total"];
/// What is measured.
pub(super) const SCORES: [&str; 3] = ["miou", "macc", "all_accuracy"];

/// Iterations of warm-up of the original's long training.
const WARMUP: usize = 1500;

/// Everything that decides how a segmentation network is trained. The defaults are the original's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SegmentationSettings {
    /// Size of SegFormer; without it that of the starting weights, and b0 where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
    /// Channels of the four stages instead of the variant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub widths: Option<[usize; 4]>,
    /// Blocks of the four stages instead of the variant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depths: Option<[usize; 4]>,
    /// Channels of the decoder instead of the variant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder_width: Option<usize>,
    /// Epsilons of the layer normalisations: those of the original, or of its port on the hub.
    pub epsilons: Epsilons,
    /// In training, the share of samples for which the last block's branches are left out; earlier blocks rise to it from 0.
    pub drop_path: f64,
    /// In training, the share of channels dropped before the classifier.
    pub dropout: f64,
    /// Starting weights: safetensors or an original checkpoint, names of the original or of the hub. Entries of equal name and shape
    /// are taken (with another number of classes all but the classifier), the rest starts fresh. None starts everything fresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// The optimiser's course.
    pub optimizer: OptimizerSettings,
    /// The loss.
    pub loss: LossSettings,
}

/// AdamW. The rate rises linearly in warm-up and falls to 0 at the end as a power of what is left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerSettings {
    /// Learning rate.
    pub rate: f64,
    /// Factor on the rate of parameters whose name has `head` in it.
    pub head_factor: f64,
    /// Share of the past in the mean of gradients.
    pub beta1: f64,
    /// Share of the past in the mean of squared gradients.
    pub beta2: f64,
    /// Weight decay; none for parameters whose name has `norm` in it.
    pub decay: f64,
    /// Iterations of warm-up; without it the original's 1500, or a tenth of the run where that is shorter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<usize>,
    /// Share of the rate at the start of warm-up.
    pub warmup_start: f64,
    /// Power of what is left of the run.
    pub power: f64,
}

/// Cross-entropy of every pixel whose label is not the ignored one (255).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossSettings {
    /// What the sum is divided by.
    pub mean: Mean,
}

/// What a sum over pixels is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mean {
    /// Pixels that are not ignored.
    #[default]
    Valid,
    /// All pixels, as the original does.
    All,
}

impl Default for SegmentationSettings {
    fn default() -> Self {
        let network = SegFormerConfig::new(Variant::B0, 1);
        SegmentationSettings {
            variant: None,
            widths: None,
            depths: None,
            decoder_width: None,
            epsilons: network.epsilons,
            drop_path: network.drop_path,
            dropout: network.dropout,
            init: None,
            optimizer: OptimizerSettings::default(),
            loss: LossSettings::default(),
        }
    }
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        OptimizerSettings {
            rate: 6e-5,
            head_factor: 10.0,
            beta1: 0.9,
            beta2: 0.999,
            decay: 0.01,
            warmup: None,
            warmup_start: 1e-6,
            power: 1.0,
        }
    }
}

impl SegmentationSettings {
    /// The network for so many classes, of the size of the weights that it starts from.
    pub(super) fn network(&self, classes: usize, init: Option<&Weights>) -> SegFormerConfig {
        let of_weights =
            init.filter(|_| self.variant.is_none()).and_then(|weights| SegFormerConfig::recognise(weights));
        let base = match of_weights {
            Some(found) => SegFormerConfig { classes, ..found.config },
            None => SegFormerConfig::new(self.variant.unwrap_or(Variant::B0), classes),
        };
        SegFormerConfig {
            widths: self.widths.unwrap_or(base.widths),
            depths: self.depths.unwrap_or(base.depths),
            decoder_width: self.decoder_width.unwrap_or(base.decoder_width),
            epsilons: self.epsilons,
            drop_path: self.drop_path,
            dropout: self.dropout,
            ..base
        }
    }

    /// Refuses settings out of range.
    pub(super) fn check(&self) -> Result<(), SearchError> {
        let o = &self.optimizer;
        require_positive("task.optimizer.rate", o.rate)?;
        for (name, value) in [
            ("task.optimizer.head_factor", o.head_factor),
            ("task.optimizer.decay", o.decay),
            ("task.optimizer.power", o.power),
        ] {
            require_not_negative(name, value)?;
        }
        for (name, value) in [("task.optimizer.beta1", o.beta1), ("task.optimizer.beta2", o.beta2)] {
            require(name, (0.0..1.0).contains(&value), "0 to below 1", value)?;
        }
        let start = o.warmup_start;
        require("task.optimizer.warmup_start", (0.0..=1.0).contains(&start), "0 to 1", start)?;
        // What is wrong with the network's own settings, its graph says.
        caf_net::zoo::segformer::graph(&self.network(1, None))?;
        Ok(())
    }
}

impl OptimizerSettings {
    /// Share of the rate in an iteration, counted from 0, of a run of `end`.
    pub(super) fn share(&self, iteration: usize, end: usize) -> f64 {
        let left = 1.0 - (iteration as f64 / end.max(1) as f64).min(1.0);
        let course = left.powf(self.power);
        let warmup = self.warmup.unwrap_or(WARMUP.min(end / 10));
        if iteration >= warmup {
            return course;
        }
        course * (self.warmup_start + (1.0 - self.warmup_start) * iteration as f64 / warmup as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_in_warm_up_and_falls_to_nothing() {
        let o = OptimizerSettings { warmup: Some(1500), ..OptimizerSettings::default() };
        assert!((o.share(0, 160_000) - 1e-6).abs() < 1e-18);
        let half = (1.0 - 750.0 / 160_000.0) * (1e-6 + (1.0 - 1e-6) * 0.5);
        assert!((o.share(750, 160_000) - half).abs() < 1e-15);
        assert_eq!(o.share(1500, 160_000), 1.0 - 1500.0 / 160_000.0);
        assert_eq!((o.share(80_000, 160_000), o.share(160_000, 160_000)), (0.5, 0.0));
        let usual = OptimizerSettings::default();
        assert!((usual.share(1499, 160_000) < 1.0) && usual.share(5, 60) < usual.share(6, 60));
    }

    #[test]
    fn the_size_is_that_of_the_weights_unless_one_is_given() {
        let graph = |config: &SegFormerConfig| caf_net::zoo::segformer::graph(config).unwrap();
        let small = SegFormerConfig { widths: [8, 16, 40, 64], depths: [1; 4], ..SegFormerConfig::new(Variant::B0, 9) };
        let weights = caf_weights::initial(graph(&small).params(), 5).unwrap();
        let mut settings = SegmentationSettings::default();
        let found = settings.network(4, Some(&weights));
        assert_eq!((found.widths, found.depths, found.classes), (small.widths, small.depths, 4));
        settings.variant = Some(Variant::B1);
        assert_eq!(settings.network(4, Some(&weights)).widths, SegFormerConfig::new(Variant::B1, 4).widths);
    }

    #[test]
    fn bad_values_are_named() {
        let mut settings = SegmentationSettings::default();
        settings.check().unwrap();
        settings.optimizer.beta1 = 1.0;
        assert!(settings.check().unwrap_err().to_string().contains("task.optimizer.beta1"));
        let settings = SegmentationSettings { drop_path: 1.0, ..SegmentationSettings::default() };
        assert!(settings.check().unwrap_err().to_string().contains("drop path"));
    }
}
