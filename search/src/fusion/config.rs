//! Settings of a fusion network's training.

use super::teacher::TeacherSettings;
use crate::error::SearchError;
use crate::run_settings::{DataSettings, FusionSettings, RunSettings, require_count};
use caf_fusion_loss::VggFile;
use caf_net::zoo::network::Sides;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The loss looks at windows of up to 16 pixels.
const SIDES: Sides = Sides { least_px: 16, ..Sides::ANY };

/// Settings of a training. The defaults are the paper's (Adam 1e-4, 100 epochs); crops and batch are those of the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FusionTrainConfig {
    /// The loss: a `beta.toml`.
    pub beta: PathBuf,
    /// How long, on what batches, and where it computes. A pair smaller than the crop is enlarged to cover it.
    pub run: RunSettings,
    /// Where pairs come from; without `val` nothing is validated.
    pub data: DataSettings,
    /// Validation.
    pub validation: FusionValidation,
    /// VGG-16 file in place of the one `beta.toml` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vgg: Option<VggFile>,
    /// The network.
    pub fusion: FusionSettings,
    /// Another network that it learns from beside the loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherSettings>,
}

/// How a fusion network is looked at while it is trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FusionValidation {
    /// Iterations between two validations; the end is always validated.
    pub every: usize,
    /// Validation pairs that are measured, at most; they are spread evenly over the list.
    pub pairs: usize,
}

impl Default for FusionValidation {
    fn default() -> Self {
        FusionValidation { every: 500, pairs: 16 }
    }
}

impl Default for FusionTrainConfig {
    fn default() -> Self {
        FusionTrainConfig {
            beta: PathBuf::from("beta.toml"),
            run: RunSettings { epochs: 100, save_every: 50, ..RunSettings::default() },
            data: DataSettings::default(),
            validation: FusionValidation::default(),
            vgg: None,
            fusion: FusionSettings::default(),
            teacher: None,
        }
    }
}

impl FusionTrainConfig {
    /// Refuses settings out of range.
    ///
    /// # Errors
    /// [`SearchError::Setting`] with the name and the value.
    pub fn check(&self) -> Result<(), SearchError> {
        self.run.check(SIDES)?;
        self.data.check()?;
        require_count("validation.every", self.validation.every)?;
        require_count("validation.pairs", self.validation.pairs)?;
        self.teacher.as_ref().map_or(Ok(()), TeacherSettings::check)?;
        self.fusion.check(self.run.size_px)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load;

    #[test]
    fn a_saved_configuration_reads_back_and_unknown_keys_are_refused() {
        let mut config = FusionTrainConfig::default();
        config.run.iterations = Some(7);
        config.check().unwrap();
        let text = toml::to_string_pretty(&config).unwrap();
        assert_eq!(toml::from_str::<FusionTrainConfig>(&text).unwrap(), config);
        for text in ["validate = 3", "[run]\nepoch = 1", "[data]\nlist = \"a\"", "[fusion]\nlr = 1.0"] {
            assert!(toml::from_str::<FusionTrainConfig>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        for (text, name) in [
            ("run.batch=0", "run.batch"),
            ("run.size_px=[15, 64]", "run.size_px"),
            ("validation.every=0", "validation.every"),
            ("validation.pairs=0", "validation.pairs"),
            ("run.save_every=0", "run.save_every"),
            ("fusion.rate=-1.0", "fusion.rate"),
            ("fusion.final_share=0.0", "fusion.final_share"),
            ("fusion.final_share=1.5", "fusion.final_share"),
            ("teacher.weight=0.0", "teacher.weight"),
            ("teacher.jitter=1.5", "teacher.jitter"),
        ] {
            let config: FusionTrainConfig = load(None, &[text.to_owned()]).unwrap();
            assert!(config.check().unwrap_err().to_string().contains(name), "{text}");
        }
    }

    #[test]
    fn the_rate_falls_linearly_to_its_share_or_stays() {
        let mut fusion = FusionSettings { rate: 0.5, ..FusionSettings::default() };
        assert_eq!([0, 4, 8].map(|done| fusion.rate_after(done, 9)), [0.5; 3]);
        fusion.final_share = Some(0.5);
        assert_eq!([0, 4, 8, 20].map(|done| fusion.rate_after(done, 9)), [0.5, 0.375, 0.25, 0.25]);
        assert_eq!(fusion.rate_after(0, 1), 0.5);
    }

    #[test]
    fn a_table_given_in_part_keeps_the_other_defaults_of_this_training() {
        let config: FusionTrainConfig = load(None, &["run.batch=4".to_owned()]).unwrap();
        assert_eq!((config.run.batch, config.run.epochs, config.run.save_every), (4, 100, 50));
    }
}
