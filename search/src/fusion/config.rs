//! Settings of a fusion network's training.

use crate::error::SearchError;
use crate::learning::{Course, DataSettings, FusionSettings, MAX_COUNT, Sides, require};
use caf_fusion_loss::VggFile;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Settings of a training. The defaults are the paper's (Adam 1e-4, 100 epochs); crops and batch are those of the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FusionTrainConfig {
    /// Seed of every random choice.
    pub seed: u64,
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    pub device: String,
    /// Threads of libtorch on the CPU; 0 leaves the choice to it.
    pub threads: usize,
    /// Passes over the pairs.
    pub epochs: usize,
    /// Iterations in all, in place of `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterations: Option<usize>,
    /// Crops in a batch.
    pub batch: usize,
    /// Width and height of the crops in pixels, at least 16. A smaller pair is enlarged to cover its crop.
    pub crop_px: [usize; 2],
    /// Iterations between two checkpoints.
    pub save_every: usize,
    /// Iterations between two validations.
    pub validate_every: usize,
    /// Validation pairs that are measured, at most; they are spread evenly over the list.
    pub validate_pairs: usize,
    /// Where pairs come from; without `val` nothing is validated.
    pub data: DataSettings,
    /// The loss: a `beta.toml`.
    pub beta: PathBuf,
    /// VGG-16 file in place of the one `beta.toml` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vgg: Option<VggFile>,
    /// The network.
    pub fusion: FusionSettings,
}

impl Default for FusionTrainConfig {
    fn default() -> Self {
        FusionTrainConfig {
            seed: 1,
            device: "auto".to_owned(),
            threads: 0,
            epochs: 100,
            iterations: None,
            batch: 8,
            crop_px: [320, 320],
            save_every: 50,
            validate_every: 500,
            validate_pairs: 16,
            data: DataSettings::default(),
            beta: PathBuf::from("beta.toml"),
            vgg: None,
            fusion: FusionSettings::default(),
        }
    }
}

impl FusionTrainConfig {
    /// Refuses settings out of range.
    ///
    /// # Errors
    /// [`SearchError::Setting`] with the name and the value.
    pub fn check(&self) -> Result<(), SearchError> {
        // The loss looks at windows of up to 16 pixels.
        self.course().check(Sides { least: 16, multiple_of: 1 })?;
        for (name, n) in [("validate_every", self.validate_every), ("validate_pairs", self.validate_pairs)] {
            require(name, (1..=MAX_COUNT).contains(&n), &format!("1 to {MAX_COUNT}"), n)?;
        }
        self.fusion.check(self.crop_px)
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
            // Its pairs are read without labels.
            crops_on_objects: 0.0,
            save_every: self.save_every,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_configuration_reads_back_and_unknown_keys_are_refused() {
        let config = FusionTrainConfig { iterations: Some(7), ..FusionTrainConfig::default() };
        config.check().unwrap();
        let text = toml::to_string_pretty(&config).unwrap();
        assert_eq!(toml::from_str::<FusionTrainConfig>(&text).unwrap(), config);
        for text in ["validate = 3", "[data]\nlist = \"a\"", "[fusion]\nlr = 1.0"] {
            assert!(toml::from_str::<FusionTrainConfig>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        for (text, name) in [
            ("batch = 0", "batch"),
            ("crop_px = [15, 64]", "crop_px"),
            ("validate_every = 0", "validate_every"),
            ("validate_pairs = 0", "validate_pairs"),
            ("save_every = 0", "save_every"),
            ("threads = 100000", "threads"),
            ("fusion = { rate = -1.0 }", "fusion.rate"),
        ] {
            let error = toml::from_str::<FusionTrainConfig>(text).unwrap().check().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
