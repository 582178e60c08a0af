//! What a person chooses about a model.

use super::files::TaskFile;
use crate::error::ModelError;
use caf_geometry::{LetterboxRule, Size};
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
    /// How images are fitted into the detector's input.
    pub(super) fn letterbox(&self, task: &TaskFile) -> Result<LetterboxRule, ModelError> {
        let rule = LetterboxRule::new(self.detector_size.unwrap_or(task.image_size()), DETECTOR_STRIDE);
        match rule.validate() {
            Ok(()) => Ok(rule),
            Err(_) => Err(ModelError::Settings("the detector's width and height must be multiples of 32")),
        }
    }

    /// The detector behind images of the fixed size.
    pub(super) fn stage(&self, task: &TaskFile, rule: LetterboxRule) -> Result<DetectorStage, ModelError> {
        let letterbox = rule.fit(self.size.ok_or(ModelError::Settings(NEEDS_SIZE))?)?;
        let (height, width) = letterbox.resized_hw;
        let ((top, bottom), (left, right)) = (letterbox.top_bottom, letterbox.left_right);
        let geometry = LetterboxGeometry { scaled: [height, width], border: [top, bottom, left, right] };
        Ok(DetectorStage { config: task.config().clone(), letterbox: geometry })
    }
}
