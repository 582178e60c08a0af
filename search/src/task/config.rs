//! Settings of a detector's training.

use super::error::TaskError;
use crate::device::MAX_THREADS;
use crate::learning::{MAX_BATCH, MAX_COUNT, MAX_SIDE_PX, NOT_ALONE};
use caf_data::IrRange;
use caf_data::augment::ScaleShiftSettings;
use caf_geometry::NmsSettings;
use caf_net::zoo::yolov5::{Variant, YoloConfig};
use caf_yolo::{Hyp, Schedule};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that decides how a detector is trained. The defaults are the original's, with mosaic left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskConfig {
    /// Size of the network.
    pub variant: Variant,
    /// Factor on the channels instead of the variant's.
    pub width_multiple: Option<f64>,
    /// Factor on the bottlenecks instead of the variant's.
    pub depth_multiple: Option<f64>,
    /// Starting weights: safetensors, or an original `.pt`. Entries of equal name and shape are taken (343 of 349 when only
    /// the number of classes differs), the rest starts fresh. None starts everything fresh.
    pub weights: Option<PathBuf>,
    /// How 16-bit infrared becomes [0, 1], where the detector sees infrared images.
    pub ir_range: IrRange,
    /// Width of the network input, a multiple of 32.
    pub image_width_px: usize,
    /// Height of the network input, a multiple of 32.
    pub image_height_px: usize,
    /// Passes over the training images.
    pub epochs: usize,
    /// Images in a batch.
    pub batch: usize,
    /// Decides starting values, order and augmentation.
    pub seed: u64,
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    pub device: String,
    /// Threads of libtorch, 0 for its own choice.
    pub threads: usize,
    /// Threads that prepare batches; at most two batches wait for each.
    pub workers: usize,
    /// Decoded images kept in memory, in MiB.
    pub cache_mib: usize,
    /// Whether the moving average is validated and kept instead of the last values.
    pub ema: bool,
    /// Epochs without a better result after which the training ends, 0 for never.
    pub patience: usize,
    /// Iterations between two checkpoints; one is also made after every epoch and on a request to stop.
    pub checkpoint_every: usize,
    /// The optimiser's course.
    pub optimizer: OptimizerConfig,
    /// Random views.
    pub augment: ScaleShiftSettings,
    /// The loss.
    pub loss: Hyp,
    /// Validation.
    pub validation: ValidationConfig,
}

/// SGD with Nesterov momentum in three groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Learning rate after warm-up.
    pub rate: f64,
    /// Share of it left at the end; in between it falls linearly by epoch.
    pub final_share: f64,
    /// Momentum after warm-up.
    pub momentum: f64,
    /// Weight decay of convolution kernels, for a nominal batch.
    pub decay: f64,
    /// Images whose gradients make one step, as far as whole batches allow.
    pub nominal_batch: usize,
    /// Epochs of warm-up.
    pub warmup_epochs: f64,
    /// Least number of iterations of warm-up. The original's 100 is most of a run of a few minutes: lower it there.
    pub warmup_min_iterations: usize,
    /// Learning rate of the biases at the start of warm-up.
    pub warmup_bias_rate: f64,
    /// Momentum at the start of warm-up.
    pub warmup_momentum: f64,
    /// Largest norm of a gradient.
    pub clip_norm: f64,
}

/// How results are measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValidationConfig {
    /// Epochs between two validations; the last epoch is always validated.
    pub every: usize,
    /// Images in a batch.
    pub batch: usize,
    /// Suppression: by default confidence 0.001, IoU 0.6, every class, 300 detections.
    pub nms: NmsSettings,
}

impl Default for TaskConfig {
    fn default() -> Self {
        TaskConfig {
            variant: Variant::N,
            width_multiple: None,
            depth_multiple: None,
            weights: None,
            ir_range: IrRange::default(),
            image_width_px: 640,
            image_height_px: 640,
            epochs: 50,
            batch: 16,
            seed: 0,
            device: "auto".to_owned(),
            threads: 0,
            workers: 2,
            cache_mib: 1024,
            ema: true,
            patience: 0,
            checkpoint_every: 50,
            optimizer: OptimizerConfig::default(),
            augment: ScaleShiftSettings::default(),
            loss: Hyp::default(),
            validation: ValidationConfig::default(),
        }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        let s = Schedule::original(1, 1, 1);
        OptimizerConfig {
            rate: s.rate,
            final_share: s.final_share,
            momentum: s.momentum,
            decay: s.decay,
            nominal_batch: s.nominal_batch,
            warmup_epochs: 3.0,
            warmup_min_iterations: 100,
            warmup_bias_rate: s.warmup_bias_rate,
            warmup_momentum: s.warmup_momentum,
            clip_norm: 10.0,
        }
    }
}

impl Default for ValidationConfig {
    fn default() -> Self {
        ValidationConfig { every: 1, batch: 16, nms: NmsSettings::validation() }
    }
}

/// Most threads that prepare batches.
const MAX_WORKERS: usize = 256;

/// Whether the network takes images with such a side: its coarsest level has a stride of 32.
pub(super) fn is_input_side(side_px: usize) -> bool {
    (1..=MAX_SIDE_PX).contains(&side_px) && side_px.is_multiple_of(32)
}

/// Cells of the coarsest level in such an image: the values a channel that its normalisations see.
pub(super) fn cells((width_px, height_px): (usize, usize)) -> usize {
    (width_px / 32) * (height_px / 32)
}

impl TaskConfig {
    /// Refuses settings out of range.
    ///
    /// # Errors
    /// [`TaskError::Setting`], or that of the part a setting belongs to.
    pub fn check(&self) -> Result<(), TaskError> {
        let counts = [
            ("epochs", self.epochs, MAX_COUNT),
            ("batch", self.batch, MAX_BATCH),
            ("workers", self.workers, MAX_WORKERS),
            ("checkpoint_every", self.checkpoint_every, MAX_COUNT),
            ("validation.every", self.validation.every, MAX_COUNT),
            ("validation.batch", self.validation.batch, MAX_BATCH),
        ];
        if let Some((name, found, most)) = counts.into_iter().find(|(_, n, most)| !(1..=*most).contains(n)) {
            return Err(TaskError::Setting { name, expected: format!("1 to {most}"), found: found.to_string() });
        }
        for (name, side) in [("image_width_px", self.image_width_px), ("image_height_px", self.image_height_px)] {
            if !is_input_side(side) {
                let expected = format!("a multiple of 32 up to {MAX_SIDE_PX}");
                return Err(TaskError::Setting { name, expected, found: side.to_string() });
            }
        }
        if self.batch * cells(self.size()) < 2 {
            let expected = NOT_ALONE.to_owned();
            return Err(TaskError::Setting { name: "batch", expected, found: self.batch.to_string() });
        }
        for (name, value) in [
            ("optimizer.warmup_epochs", self.optimizer.warmup_epochs),
            ("optimizer.clip_norm", self.optimizer.clip_norm),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(TaskError::Setting { name, expected: "a number ≥ 0".into(), found: value.to_string() });
            }
        }
        if self.threads > MAX_THREADS {
            let expected = format!("at most {MAX_THREADS}");
            return Err(TaskError::Setting { name: "threads", expected, found: self.threads.to_string() });
        }
        self.ir_range.validate().map_err(caf_data::DataError::from)?;
        self.validation.nms.validate()?;
        self.loss.check()?;
        Ok(self.schedule(1).check()?)
    }

    /// The course over epochs of `batches` batches.
    pub fn schedule(&self, batches: usize) -> Schedule {
        let o = &self.optimizer;
        Schedule {
            epochs: self.epochs,
            batches,
            batch_size: self.batch,
            warmup_batches: ((o.warmup_epochs * batches as f64).round() as usize).max(o.warmup_min_iterations),
            rate: o.rate,
            final_share: o.final_share,
            warmup_bias_rate: o.warmup_bias_rate,
            momentum: o.momentum,
            warmup_momentum: o.warmup_momentum,
            decay: o.decay,
            nominal_batch: o.nominal_batch,
        }
    }

    /// The network for so many classes, with COCO anchors.
    pub fn network(&self, classes: usize) -> YoloConfig {
        let of_variant = YoloConfig::new(self.variant, classes);
        YoloConfig {
            width: self.width_multiple.unwrap_or(of_variant.width),
            depth: self.depth_multiple.unwrap_or(of_variant.depth),
            ..of_variant
        }
    }

    /// Width and height of the network input.
    pub fn size(&self) -> (usize, usize) {
        (self.image_width_px, self.image_height_px)
    }

    /// The longer side of the network input.
    pub fn longer_side_px(&self) -> usize {
        self.image_width_px.max(self.image_height_px)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_survive_toml() {
        let config = TaskConfig::default();
        config.check().unwrap();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<TaskConfig>(&text).unwrap(), config);
    }

    #[test]
    fn unknown_keys_are_refused_at_every_depth() {
        for text in
            ["epoch = 3", "[optimizer]\nlr = 1", "[augment]\nmosaic = 1.0", "[validation.nms]\nconfidence = 0.1"]
        {
            assert!(toml::from_str::<TaskConfig>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_setting_of_a_group_may_be_given_alone() {
        let config: TaskConfig = toml::from_str("[augment]\nscale = 0.25\n[optimizer]\nrate = 0.02").unwrap();
        let expected = ScaleShiftSettings { scale: 0.25, ..ScaleShiftSettings::default() };
        assert_eq!((config.augment, config.optimizer.rate, config.optimizer.momentum), (expected, 0.02, 0.937));
    }

    #[test]
    fn bad_values_are_named() {
        for (text, name) in [
            ("image_width_px = 100", "image_width_px"),
            ("batch = 0", "batch"),
            ("batch = 1\nimage_width_px = 32\nimage_height_px = 32", "batch"),
            ("batch = 9000000000000000000", "batch"),
            ("epochs = 9000000000000000000", "epochs"),
            ("workers = 100000", "workers"),
            ("threads = 100000", "threads"),
            ("ir_range = { percentile = { low = 9.0, high = 1.0 } }", "ir_range"),
            ("validation = { batch = 5000 }", "validation.batch"),
            ("[optimizer]\nrate = -1.0", "rate"),
            ("[loss]\nanchor_t = 0.5", "anchor_t"),
            ("[validation.nms]\nconf = 2.0", "conf"),
        ] {
            let error = toml::from_str::<TaskConfig>(text).unwrap().check().unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
