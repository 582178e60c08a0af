//! What a person chooses about a model.

use super::files::TaskFile;
use crate::error::ModelError;
use caf_geometry::{Letterbox, Size};
use caf_net::zoo::pipeline::{ColourMode, DetectorStage, LetterboxGeometry, Samples};

/// Sides of the detector's input are multiples of its coarsest stride.
const DETECTOR_STRIDE: usize = 32;

pub(super) const NEEDS_SIZE: &str = "a detector needs a fixed image size: its letterbox depends on it";

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
    /// Box that the detector's input is fitted into; its short side shrinks to the next multiple of 32 that holds the image.
    pub detector_size: Option<Size>,
}

impl Default for Settings {
    /// Bytes in and out, colour, any size, one pair at a time.
    fn default() -> Self {
        Settings { samples: Samples::Bytes, colour: ColourMode::Rgb, size: None, batch: Some(1), detector_size: None }
    }
}

impl Settings {
    /// Where the detector sees the image.
    pub(super) fn letterbox(&self, task: &TaskFile) -> Result<Letterbox, ModelError> {
        let image = self.size.ok_or(ModelError::Settings(NEEDS_SIZE))?;
        let outer = self.detector_size.unwrap_or(task.image_size());
        if !outer.width.is_multiple_of(DETECTOR_STRIDE) || !outer.height.is_multiple_of(DETECTOR_STRIDE) {
            return Err(ModelError::Settings("the detector's width and height must be multiples of 32"));
        }
        Ok(Letterbox::auto(image.height, image.width, outer.height, outer.width, true, DETECTOR_STRIDE)?)
    }
}

pub(super) fn stage(task: &TaskFile, letterbox: &Letterbox) -> DetectorStage {
    let (height, width) = letterbox.resized_hw;
    let ((top, bottom), (left, right)) = (letterbox.top_bottom, letterbox.left_right);
    let geometry = LetterboxGeometry { scaled: [height, width], border: [top, bottom, left, right] };
    DetectorStage { config: task.config().clone(), letterbox: geometry }
}
