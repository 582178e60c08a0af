//! What a model is made of: weight files, and what a person chooses about it.

use super::files::{FusionFile, TaskFile};
use caf_contract::IrRange;
use caf_geometry::Size;
use caf_net::zoo::pipeline::{ColourMode, Samples};

/// The weight files of a model.
#[derive(Clone, Copy, Debug)]
pub enum Parts<'a> {
    /// `ir`, `vi` → `fused`.
    Fusion(&'a FusionFile),
    /// `image` → the outputs of the tasks.
    Tasks(&'a [TaskFile]),
    /// `ir`, `vi` → `fused` and the outputs of the tasks.
    Pipeline(&'a FusionFile, &'a [TaskFile]),
}

impl<'a> Parts<'a> {
    /// The fusion network, if there is one.
    pub(super) fn fusion(self) -> Option<&'a FusionFile> {
        match self {
            Parts::Fusion(fusion) | Parts::Pipeline(fusion, _) => Some(fusion),
            Parts::Tasks(_) => None,
        }
    }

    /// The task networks in the order of their outputs.
    pub(super) fn tasks(self) -> &'a [TaskFile] {
        match self {
            Parts::Fusion(_) => &[],
            Parts::Tasks(tasks) | Parts::Pipeline(_, tasks) => tasks,
        }
    }
}

/// How images enter and leave the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Bytes (NHWC) or floats in [0, 1] (NCHW).
    pub samples: Samples,
    /// Channels of the visible input and the fused output.
    pub colour: ColourMode,
    /// Size of the images, or any.
    pub size: Option<Size>,
    /// Images at once, or any number.
    pub batch: Option<usize>,
    /// The size that a detector sees images fitted into; otherwise that of its training.
    pub task_size: Option<Size>,
    /// How 16-bit infrared becomes [0, 1], for weights that do not say what they were trained on; the full range without it.
    pub ir_range: Option<IrRange>,
}

impl Default for Settings {
    /// Bytes in and out, colour, any size, one pair at a time.
    fn default() -> Self {
        Settings {
            samples: Samples::Bytes,
            colour: ColourMode::Rgb,
            size: None,
            batch: Some(1),
            task_size: None,
            ir_range: None,
        }
    }
}
