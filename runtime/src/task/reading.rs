//! What every task on a vehicle does, and where its result goes.

use std::fmt::Debug;
use std::sync::Arc;

use caf_engine::View;
use caf_geometry::{Detection, GeometryError, Size};

/// A fused image with what was found in it: a place for the result of each task. Reused, its memory stops growing after the busiest
/// image.
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

/// A task of a model with its buffers.
pub(crate) trait VehicleTask: Debug + Send {
    /// Adds its class names.
    fn name_classes(&self, names: &mut ClassNames);

    /// Reads its output for an image of that size into its place in `out`, which is empty. Allocates nothing once it was read for an
    /// image of that size.
    ///
    /// # Errors
    /// When the output does not fit its classes.
    fn read(&mut self, output: View<'_>, image: Size, out: &mut FusedImage) -> Result<(), GeometryError>;

    /// Whether it is painted below the others, as what covers the image is.
    fn covers_image(&self) -> bool;

    /// Paints what was read over the image.
    fn paint(&self, image: Size, out: &mut FusedImage);
}

/// Names of the classes of a model's tasks, by number; empty for a task that it does not have.
#[derive(Clone, Debug, Default)]
pub struct ClassNames {
    /// Of detections.
    pub detection: Arc<[String]>,
    /// Of a class map.
    pub segmentation: Arc<[String]>,
}
