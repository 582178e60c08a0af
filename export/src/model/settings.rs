//! What a person chooses about a model.

use super::files::TaskFile;
use super::task;
use crate::error::ExportError;
use caf_geometry::Size;
use caf_net::zoo::pipeline::{ColourMode, Samples, TaskStage};

/// How images enter and leave the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Default for Settings {
    /// Bytes in and out, colour, any size, one pair at a time.
    fn default() -> Self {
        Settings { samples: Samples::Bytes, colour: ColourMode::Rgb, size: None, batch: Some(1), task_size: None }
    }
}

impl Settings {
    /// The task network behind images of any size.
    pub(super) fn stage(&self, task: &TaskFile) -> Result<TaskStage, ExportError> {
        let letterbox = task::letterbox(task, self.task_size)?;
        Ok(TaskStage { network: task.network().clone(), letterbox })
    }
}
