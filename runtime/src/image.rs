//! The result of one pair.

use caf_geometry::{Detection, Size};

/// A fused image with what was found in it. Reused, its memory stops growing after the busiest image.
#[derive(Clone, Debug, Default)]
pub struct FusedImage {
    /// `width × height × 3` bytes.
    pub rgb: Vec<u8>,
    /// Its size.
    pub size: Size,
    /// What was detected, best first; boxes in pixels of this image.
    pub detections: Vec<Detection>,
    /// The class of every pixel, row-major; empty when the model does not segment.
    pub class_map: Vec<u8>,
}

impl FusedImage {
    /// Forgets what was found in the image, and keeps the memory.
    pub(crate) fn clear_results(&mut self) {
        self.detections.clear();
        self.class_map.clear();
    }
}
