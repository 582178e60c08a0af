//! What a person chooses about a model.

use super::files::{Task, TaskFile};
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
    /// Size of the detector's input, which images are fitted into; otherwise that of its training.
    pub detector_size: Option<Size>,
}

impl Default for Settings {
    /// Bytes in and out, colour, any size, one pair at a time.
    fn default() -> Self {
        Settings { samples: Samples::Bytes, colour: ColourMode::Rgb, size: None, batch: Some(1), detector_size: None }
    }
}

impl Settings {
    /// The task network behind images of any size.
    pub(super) fn stage(&self, task: &TaskFile) -> Result<TaskStage, ExportError> {
        let network = task.network().clone();
        let stride = network.side_multiple_px();
        let letterbox = match task.task() {
            Task::Detection => Some(self.detector_size.unwrap_or(task.image_size())),
            Task::Segmentation if self.detector_size.is_some() => {
                return Err(ExportError::settings(
                    "a segmentation sees every image at its own size: leave --task-size out",
                ));
            }
            Task::Segmentation => None,
        };
        match letterbox {
            Some(size) if !size.width.is_multiple_of(stride) || !size.height.is_multiple_of(stride) => {
                Err(ExportError::settings("the detector's width and height must be multiples of 32"))
            }
            _ => Ok(TaskStage { network, letterbox }),
        }
    }
}
