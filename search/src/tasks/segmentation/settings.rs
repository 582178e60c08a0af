//! Settings of a segmentation network's training.

use super::size::{DeepLabSettings, SegmentationVariant};
use crate::error::SearchError;
use crate::run_settings::{require, require_not_negative, require_positive};
use caf_net::zoo::deeplab::DeepLabConfig;
use caf_net::zoo::network::{Network as _, Sides};
use caf_net::zoo::segformer::{Epsilons, SegFormerConfig, Variant};
use caf_net::zoo::task::TaskNetworkConfig;
use caf_weights::Weights;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Its name.
pub(super) const KIND: &str = caf_contract::SEGMENTATION.name;
/// Networks divide their input by up to 32, and normalise at a quarter of it.
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
    /// The network and its size; without it those of the starting weights, and SegFormer b0 where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<SegmentationVariant>,
    /// Channels of SegFormer's four stages instead of the variant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub widths: Option<[usize; 4]>,
    /// Blocks of SegFormer's four stages instead of the variant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depths: Option<[usize; 4]>,
    /// Channels of SegFormer's decoder instead of the variant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder_width: Option<usize>,
    /// Epsilons of SegFormer's layer normalisations: those of the original, or of its port on the hub.
    pub epsilons: Epsilons,
    /// In training, the share of samples for which the branches of SegFormer's last block are left out; earlier blocks rise to it from 0.
    pub drop_path: f64,
    /// In training, the share of channels that SegFormer drops before its classifier, or of values that DeepLabV3+ drops behind its pyramid.
    pub dropout: f64,
    /// What of DeepLabV3+ is not its variant's.
    #[serde(skip_serializing_if = "DeepLabSettings::is_usual")]
    pub deeplab: DeepLabSettings,
    /// Starting weights: safetensors or an original checkpoint, names of the original or of the hub, or a backbone of DeepLabV3+ that
    /// classifies images. Entries of equal name and shape
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
    /// Factor on the rate of SegFormer's parameters whose name has `head` in it, and of all of DeepLabV3+ behind its backbone.
    pub head_factor: f64,
    /// Share of the past in the mean of gradients.
    pub beta1: f64,
    /// Share of the past in the mean of squared gradients.
    pub beta2: f64,
    /// Weight decay; none for SegFormer's parameters whose name has `norm` in it, and for DeepLabV3+'s normalisations.
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
            deeplab: DeepLabSettings::default(),
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
    /// The network for so many classes, of the kind and size of the weights that it starts from.
    ///
    /// # Errors
    /// When there are settings of the other network.
    pub(super) fn network(&self, classes: usize, init: Option<&Weights>) -> Result<TaskNetworkConfig, SearchError> {
        let of_weights = init.filter(|_| self.variant.is_none());
        let found = of_weights.and_then(|weights| SegFormerConfig::recognise(weights)).map(|found| found.config);
        let deeplab = of_weights.and_then(|weights| DeepLabConfig::recognise(weights)).map(|found| found.config);
        match (self.variant, deeplab) {
            (Some(SegmentationVariant::DeepLab(variant)), _) => self.deeplab(DeepLabConfig::new(variant, classes)),
            (None, Some(found)) => self.deeplab(DeepLabConfig { classes, ..found }),
            (Some(SegmentationVariant::SegFormer(variant)), _) => {
                self.segformer(SegFormerConfig::new(variant, classes))
            }
            (None, None) => match found {
                Some(found) => self.segformer(SegFormerConfig { classes, ..found }),
                None => self.segformer(SegFormerConfig::new(Variant::B0, classes)),
            },
        }
    }

    fn segformer(&self, base: SegFormerConfig) -> Result<TaskNetworkConfig, SearchError> {
        let expected = "no such table with SegFormer: set task.variant to a DeepLabV3+";
        require("task.deeplab", self.deeplab.is_usual(), expected, "one")?;
        let config = SegFormerConfig {
            widths: self.widths.unwrap_or(base.widths),
            depths: self.depths.unwrap_or(base.depths),
            decoder_width: self.decoder_width.unwrap_or(base.decoder_width),
            epsilons: self.epsilons,
            drop_path: self.drop_path,
            dropout: self.dropout,
            ..base
        };
        Ok(config.into())
    }

    fn deeplab(&self, base: DeepLabConfig) -> Result<TaskNetworkConfig, SearchError> {
        for (name, given) in [
            ("task.widths", self.widths.is_some()),
            ("task.depths", self.depths.is_some()),
            ("task.decoder_width", self.decoder_width.is_some()),
        ] {
            require(name, !given, "no such setting with DeepLabV3+, which has task.deeplab", "one")?;
        }
        let DeepLabSettings { output_stride, fine_width, head_width, backbone } = &self.deeplab;
        let config = DeepLabConfig {
            backbone: backbone.clone().unwrap_or(base.backbone),
            output_stride: output_stride.unwrap_or(base.output_stride),
            fine_width: fine_width.unwrap_or(base.fine_width),
            head_width: head_width.unwrap_or(base.head_width),
            dropout: self.dropout,
            classes: base.classes,
        };
        Ok(config.into())
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
        self.network(1, None)?.graph()?;
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
    use caf_net::zoo::deeplab;

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
    fn bad_values_are_named() {
        let mut settings = SegmentationSettings::default();
        settings.check().unwrap();
        settings.optimizer.beta1 = 1.0;
        assert!(settings.check().unwrap_err().to_string().contains("task.optimizer.beta1"));
        let settings = SegmentationSettings { drop_path: 1.0, ..SegmentationSettings::default() };
        assert!(settings.check().unwrap_err().to_string().contains("drop path"));
    }

    fn settings(table: &str) -> SegmentationSettings {
        toml::from_str(table).unwrap()
    }

    fn built(settings: &SegmentationSettings, init: Option<&Weights>) -> String {
        settings.network(4, init).unwrap().to_string()
    }

    fn weights(config: impl Into<TaskNetworkConfig>) -> Weights {
        caf_weights::initial(config.into().graph().unwrap().params(), 5).unwrap()
    }

    #[test]
    fn every_variant_is_written_as_its_name_and_read_again() {
        let names: Vec<String> = SegmentationVariant::all().map(String::from).collect();
        assert_eq!((names.len(), names[0].as_str(), names[6].as_str()), (9, "b0", "deeplabv3plus-mobilenet"));
        for variant in SegmentationVariant::all() {
            let given = SegmentationSettings { variant: Some(variant), ..SegmentationSettings::default() };
            let text = toml::to_string(&given).unwrap();
            assert_eq!(settings(&text), given, "{text}");
        }
        let error = toml::from_str::<SegmentationSettings>("variant = \"b6\"").unwrap_err().to_string();
        assert!(error.contains("unknown variant `b6`; there are: `b0`, ") && error.contains("-resnet101`"), "{error}");
    }

    #[test]
    fn settings_that_nobody_gave_are_not_saved() {
        let text = toml::to_string(&SegmentationSettings::default()).unwrap();
        assert!(!text.contains("deeplab") && !text.contains("variant"), "{text}");
    }

    #[test]
    fn the_network_is_that_of_the_weights_unless_one_is_given() {
        let published = SegFormerConfig::new(Variant::B0, 9);
        let small = SegFormerConfig { widths: [8, 16, 40, 64], depths: [1; 4], ..published };
        let usual = SegmentationSettings::default();
        let expected = TaskNetworkConfig::from(SegFormerConfig { classes: 4, ..small.clone() }).to_string();
        let small = weights(small);
        assert_eq!(built(&usual, Some(&small)), expected);
        let b1 = settings("variant = \"b1\"");
        let expected = TaskNetworkConfig::from(SegFormerConfig::new(Variant::B1, 4)).to_string();
        assert_eq!(built(&b1, Some(&small)), expected);

        let thin = DeepLabConfig { head_width: 8, ..DeepLabConfig::new(deeplab::Variant::MobileNet, 9) };
        let expected = TaskNetworkConfig::from(DeepLabConfig { classes: 4, ..thin.clone() }).to_string();
        let thin = weights(thin);
        assert_eq!(built(&usual, Some(&thin)), expected);
        let wide = settings("variant = \"deeplabv3plus-mobilenet\"");
        let expected = TaskNetworkConfig::from(DeepLabConfig::new(deeplab::Variant::MobileNet, 4)).to_string();
        assert_eq!(built(&wide, Some(&thin)), expected);
    }

    #[test]
    fn deeplab_takes_its_own_settings_and_no_others() {
        let small = settings(
            "variant = \"deeplabv3plus-resnet50\"\n[deeplab]\noutput_stride = 8\nfine_width = 6\nhead_width = 12\n\
             backbone = { resnet = { width = 4, blocks = [1, 1, 1, 1] } }",
        );
        small.check().unwrap();
        let found = built(&small, None);
        for part in ["\"output_stride\":8", "\"fine_width\":6", "\"head_width\":12", "\"width\":4", "[1,1,1,1]"] {
            assert!(found.contains(part), "{part} in {found}");
        }
        for (table, words) in [
            ("widths = [8, 16, 40, 64]\nvariant = \"deeplabv3plus-mobilenet\"", ["task.widths", "task.deeplab"]),
            ("variant = \"b0\"\n[deeplab]\nhead_width = 8", ["task.deeplab", "task.variant"]),
            ("variant = \"deeplabv3plus-mobilenet\"\n[deeplab]\nhead_width = 0", ["head_width", "found 0"]),
        ] {
            let error = settings(table).check().unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
        let error = toml::from_str::<SegmentationSettings>("[deeplab]\noutput_stride = 4").unwrap_err().to_string();
        assert!(error.contains("8 or 16, found 4"), "{error}");
    }
}
