//! Settings of a task network's training.

use crate::error::SearchError;
use crate::loader::ImageSource;
use crate::run_settings::{DataSettings, RunSettings, require_batch, require_count};
use crate::tasks::TaskSettings;
use caf_data::augment::ScaleShiftSettings;
use caf_geometry::Size;
use serde::{Deserialize, Serialize};

/// Everything that decides how a task network is trained; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskTrainConfig {
    /// What the network sees: `visible`, `infrared`, or a folder of images with the pairs' names.
    pub images: ImageSource,
    /// How long, on what batches, and where it computes. Images are fitted into the size.
    pub run: RunSettings,
    /// Where labels and images come from.
    pub data: DataSettings,
    /// Random views.
    pub augment: ScaleShiftSettings,
    /// The task.
    pub task: TaskSettings,
    /// Validation.
    pub validation: TaskValidation,
}

/// How a task network is measured while it is trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskValidation {
    /// Iterations between two validations, an epoch without it; the end is always validated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<usize>,
    /// Images in a batch.
    pub batch: usize,
    /// Validations without a better result after which the training ends, 0 for never.
    pub patience: usize,
}

impl Default for TaskValidation {
    fn default() -> Self {
        TaskValidation { every: None, batch: 16, patience: 0 }
    }
}

impl Default for TaskTrainConfig {
    fn default() -> Self {
        let (size_px, batch) = (Size::new(640, 640), 16);
        TaskTrainConfig {
            images: ImageSource::Visible,
            run: RunSettings { epochs: 50, save_every: 50, batch, size_px, ..RunSettings::default() },
            data: DataSettings {
                train: Some("train.txt".into()),
                val: Some("val.txt".into()),
                ..DataSettings::default()
            },
            augment: ScaleShiftSettings::default(),
            task: TaskSettings::default(),
            validation: TaskValidation::default(),
        }
    }
}

impl TaskTrainConfig {
    /// Refuses settings out of range.
    ///
    /// # Errors
    /// [`SearchError::Setting`], or that of the part a setting belongs to.
    pub fn check(&self) -> Result<(), SearchError> {
        self.run.check(self.task.kind().sides)?;
        self.data.check()?;
        require_count("validation.every", self.validation.every.unwrap_or(1))?;
        require_batch("validation.batch", self.validation.batch)?;
        self.task.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load;

    #[test]
    fn the_defaults_are_valid_and_survive_toml() {
        let config = TaskTrainConfig::default();
        config.check().unwrap();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<TaskTrainConfig>(&text).unwrap(), config);
    }

    #[test]
    fn one_setting_of_a_table_may_be_given_alone() {
        let set = |text: &str| load::<TaskTrainConfig>(None, &[text.to_owned()]);
        let config = set("augment.scale=0.25").unwrap();
        let expected = ScaleShiftSettings { scale: 0.25, ..ScaleShiftSettings::default() };
        assert_eq!((config.augment, config.run.size_px), (expected, Size::new(640, 640)));
        assert_eq!(set("run.batch=4").unwrap().run.epochs, 50);
        assert_eq!(set("data.root=x").unwrap().data.train, Some("train.txt".into()));
        for text in ["augment.mosaic=1.0", "run.epoch=3", "validation.nms=1", "ema=true", "task.ema=1"] {
            assert!(set(text).is_err(), "{text}");
        }
        for (text, name) in [
            ("run.size_px=[100, 64]", "run.size_px"),
            ("validation.every=0", "validation.every"),
            ("validation.batch=5000", "validation.batch"),
        ] {
            assert!(set(text).unwrap().check().unwrap_err().to_string().contains(name), "{text}");
        }
    }
}
