//! Settings of a detector's training.

use crate::error::SearchError;
use crate::run_settings::require_not_negative;
use caf_geometry::NmsSettings;
use caf_net::zoo::network::{Network as _, Sides};
use caf_net::zoo::yolov5::{ANCHORS, STRIDES, Variant, YoloConfig};
use caf_weights::Weights;
use caf_yolo::{Hyp, Schedule};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Its name.
pub(super) const KIND: &str = caf_contract::DETECTION.name;
/// Its coarsest level has a stride of 32.
pub(super) const SIDES: Sides = Sides { least_px: 32, multiple_of_px: 32 };
/// Parts of its loss.
pub(super) const PARTS: [&str; 4] = ["total", "box", "objectness", "class"];
/// What is measured.
pub(super) const SCORES: [&str; 4] = ["precision", "recall", "map50", "map50_95"];

/// Everything that decides how a detector is trained. The defaults are the original's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectionSettings {
    /// Size of YOLOv5; without it that of the starting weights, and s (the paper's) where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
    /// Factor on the channels instead of the variant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width_multiple: Option<f64>,
    /// Factor on the bottlenecks instead of the variant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth_multiple: Option<f64>,
    /// Starting weights: safetensors, or an original `.pt`. Entries of equal name and shape are taken (343 of 349 when only
    /// the number of classes differs), the rest starts fresh. None starts everything fresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Whether the moving average is validated and kept instead of the last values. A search has none.
    pub ema: bool,
    /// The optimiser's course.
    pub optimizer: OptimizerSettings,
    /// The loss.
    pub loss: Hyp,
    /// Suppression when it is measured: by default confidence 0.001, IoU 0.6, every class, 300 detections.
    pub nms: NmsSettings,
}

/// SGD with Nesterov momentum in three groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerSettings {
    /// Learning rate after warm-up.
    pub rate: f64,
    /// Share of it left at the end; in between it falls linearly by epoch.
    pub final_share: f64,
    /// Momentum after warm-up.
    pub momentum: f64,
    /// Weight decay of convolution kernels, for a nominal batch.
    pub decay: f64,
    /// Images whose gradients make one step of a training, as far as whole batches allow. In a search every batch makes one.
    pub nominal_batch: usize,
    /// Iterations of warm-up. Without it 100 in a search, and three epochs but at least 100 iterations in a training (the
    /// original's), which is most of a run of a few minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<usize>,
    /// Learning rate of the biases at the start of warm-up.
    pub warmup_bias_rate: f64,
    /// Momentum at the start of warm-up.
    pub warmup_momentum: f64,
    /// Largest norm of a gradient.
    pub clip_norm: f64,
}

impl Default for DetectionSettings {
    fn default() -> Self {
        DetectionSettings {
            variant: None,
            width_multiple: None,
            depth_multiple: None,
            init: None,
            ema: true,
            optimizer: OptimizerSettings::default(),
            loss: Hyp::default(),
            nms: NmsSettings::validation(),
        }
    }
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        let s = Schedule::original(1, 1, 1);
        OptimizerSettings {
            rate: s.rate,
            final_share: s.final_share,
            momentum: s.momentum,
            decay: s.decay,
            nominal_batch: s.nominal_batch,
            warmup: None,
            warmup_bias_rate: s.warmup_bias_rate,
            warmup_momentum: s.warmup_momentum,
            clip_norm: 10.0,
        }
    }
}

impl DetectionSettings {
    /// The network for so many classes, of the size and with the anchors of the weights that it starts from; the paper's size and the
    /// anchors of COCO without these.
    ///
    /// # Errors
    /// When the anchors are no numbers.
    pub(super) fn network(&self, classes: usize, init: Option<&Weights>) -> Result<YoloConfig, SearchError> {
        let of_weights = init.filter(|_| self.variant.is_none()).and_then(|weights| YoloConfig::recognise(weights));
        let base = match of_weights {
            Some(found) => YoloConfig { classes, depth: published_depth(found.config.depth), ..found.config },
            None => YoloConfig::new(self.variant.unwrap_or(Variant::S), classes),
        };
        let mut anchors_px = base.anchors_px;
        if let Some(stored) = init.and_then(|weights| weights.get(ANCHORS)).filter(|t| t.shape() == [3, 3, 2]) {
            // In cells.
            let mut cells = stored.to_f64_vec()?.into_iter();
            for (level, stride) in anchors_px.iter_mut().zip(STRIDES) {
                for (side, value) in level.iter_mut().flatten().zip(&mut cells) {
                    *side = value * stride as f64;
                }
            }
        }
        let width = self.width_multiple.unwrap_or(base.width);
        let depth = self.depth_multiple.unwrap_or(base.depth);
        Ok(YoloConfig { width, depth, anchors_px, ..base })
    }

    /// Refuses settings out of range.
    pub(super) fn check(&self) -> Result<(), SearchError> {
        let optimizer = &self.optimizer;
        require_not_negative("task.optimizer.clip_norm", optimizer.clip_norm)?;
        self.nms.validate()?;
        self.loss.check()?;
        let schedule = Schedule {
            rate: optimizer.rate,
            final_share: optimizer.final_share,
            warmup_bias_rate: optimizer.warmup_bias_rate,
            momentum: optimizer.momentum,
            warmup_momentum: optimizer.warmup_momentum,
            decay: optimizer.decay,
            nominal_batch: optimizer.nominal_batch,
            ..Schedule::original(1, 1, 1)
        };
        Ok(schedule.check()?)
    }
}

/// The depth multiple as it was published, where tensors tell one: they tell the blocks that it is rounded to.
fn published_depth(of_tensors: f64) -> f64 {
    /// Bottlenecks of the longest block at depth 1.
    const LONGEST: f64 = 9.0;
    let blocks = |depth: f64| (LONGEST * depth).round_ties_even();
    let published = Variant::ALL.into_iter().map(|variant| variant.multiples().0);
    published.into_iter().find(|depth| blocks(*depth) == blocks(of_tensors)).unwrap_or(of_tensors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_weights::initial;

    #[test]
    fn the_size_is_that_of_the_weights_unless_one_is_given() {
        let graph = |config: &YoloConfig| caf_net::zoo::yolov5::graph(config).unwrap();
        let weights = initial(graph(&YoloConfig::new(Variant::N, 80)).params(), 5).unwrap();
        let of = |variant, init| {
            let settings = DetectionSettings { variant, ..DetectionSettings::default() };
            graph(&settings.network(6, init).unwrap()).params().to_vec()
        };
        let published = |variant| graph(&YoloConfig::new(variant, 6)).params().to_vec();
        assert_eq!(of(None, Some(&weights)), published(Variant::N));
        assert_eq!(of(Some(Variant::M), Some(&weights)), published(Variant::M));
        assert_eq!(of(None, None), published(Variant::S));
    }

    #[test]
    fn anchors_are_those_of_the_weights_it_starts_from() {
        let settings = DetectionSettings { width_multiple: Some(0.125), ..DetectionSettings::default() };
        let published = settings.network(80, None).unwrap();
        let mut other = published.clone();
        other.anchors_px[1][2] = [64.0, 128.0];
        let weights = initial(caf_net::zoo::yolov5::graph(&other).unwrap().params(), 5).unwrap();
        assert_eq!(settings.network(80, Some(&weights)).unwrap(), other);
        assert_eq!(settings.network(80, Some(&Weights::new())).unwrap(), published);
    }
}
