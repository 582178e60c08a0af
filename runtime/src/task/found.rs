//! What every task on a vehicle does, and what it finds.

use std::any::Any;
use std::fmt::Debug;
use std::io::Write;
use std::sync::Arc;

use caf_engine::View;
use caf_geometry::{GeometryError, Size};

use crate::frame::Camera;

/// What a task found in an image.
pub trait Found: Any + Debug + Send + Sync {
    /// Its key in a line of JSON.
    fn key(&self) -> &'static str;

    /// Forgets all that was found; keeps the memory.
    fn clear(&mut self);

    /// Writes it as JSON; `brief` leaves out what is more than a datagram holds.
    ///
    /// # Errors
    /// When `out` takes no more.
    fn write_json(&self, brief: bool, out: &mut dyn Write) -> serde_json::Result<()>;
}

/// A fused image with what was found in it. Reused, its memory stops growing after the busiest image.
#[derive(Debug, Default)]
pub struct FusedImage {
    /// `width × height × 3` bytes.
    pub rgb: Vec<u8>,
    /// Its size.
    pub size: Size,
    /// What was found in it, one entry for each task of the model.
    pub found: Vec<Box<dyn Found>>,
}

impl FusedImage {
    /// Forgets what was found.
    pub fn clear_found(&mut self) {
        self.found.iter_mut().for_each(|found| found.clear());
    }

    /// What a task of the model found; none of a task that it does not have.
    #[must_use]
    pub fn of<T: Found>(&self) -> Option<&T> {
        self.found.iter().find_map(|found| (found.as_ref() as &dyn Any).downcast_ref())
    }
}

/// Class names, shared by all that a task finds.
pub type ClassNames = Arc<[String]>;

/// The name of a class, `?` for a number without one.
#[must_use]
pub fn class_name(classes: &[String], class: u32) -> &str {
    usize::try_from(class).ok().and_then(|c| classes.get(c)).map_or("?", String::as_str)
}

/// A task of a model with its buffers.
pub(crate) trait VehicleTask: Debug + Send {
    /// What it finds.
    type Found: Found + Default;

    /// Whether it is painted below the others, as what covers the image is.
    const COVERS_IMAGE: bool;

    /// Reads its output for an image of that size into `found`, whatever that held. Allocates nothing once it was read for an image of that
    /// size.
    ///
    /// # Errors
    /// When the output does not fit its classes.
    fn read(&mut self, output: View<'_>, image: Size, found: &mut Self::Found) -> Result<(), GeometryError>;

    /// Says what the next output was made of: one camera alone, or both.
    fn set_alone(&mut self, _camera: Option<Camera>) {}

    /// Paints what was read over the image, dense rows of RGB.
    fn paint(&self, found: &Self::Found, rgb: &mut [u8], size: Size);
}

/// A task with what it finds hidden, so that those of a model are one list.
pub(crate) trait AnyTask: Debug + Send {
    fn covers_image(&self) -> bool;

    /// Whether it finds such.
    fn finds(&self, found: &dyn Found) -> bool;

    fn nothing(&self) -> Box<dyn Found>;

    fn looks_at(&mut self, alone: Option<Camera>);

    fn read_any(&mut self, output: View<'_>, image: Size, found: &mut dyn Found) -> Result<(), GeometryError>;

    fn paint_any(&self, found: &dyn Found, rgb: &mut [u8], size: Size);
}

impl<T: VehicleTask> AnyTask for T {
    fn covers_image(&self) -> bool {
        T::COVERS_IMAGE
    }

    fn finds(&self, found: &dyn Found) -> bool {
        (found as &dyn Any).is::<T::Found>()
    }

    fn nothing(&self) -> Box<dyn Found> {
        Box::new(T::Found::default())
    }

    fn looks_at(&mut self, alone: Option<Camera>) {
        self.set_alone(alone);
    }

    fn read_any(&mut self, output: View<'_>, image: Size, found: &mut dyn Found) -> Result<(), GeometryError> {
        let found = (found as &mut dyn Any).downcast_mut();
        found.map_or(Ok(()), |found| self.read(output, image, found))
    }

    fn paint_any(&self, found: &dyn Found, rgb: &mut [u8], size: Size) {
        if let Some(found) = (found as &dyn Any).downcast_ref() {
            self.paint(found, rgb, size);
        }
    }
}
