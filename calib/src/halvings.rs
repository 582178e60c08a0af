//! Images of a size that can be worked with.

use caf_geometry::Size;

use crate::error::CalibError;
use crate::plane::Seen;
use crate::recording::{LEAST_SIDE_PX, Shot};

/// How often the images of a recording are halved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Halvings {
    infrared: usize,
    visible: usize,
}

impl Halvings {
    /// Of infrared images of this size, of which a pixel spans `scale` visible ones, to at most so many pixels across; the visible images
    /// become as sharp as the infrared ones, up to a factor of the square root of two.
    pub(crate) fn of(infrared: Size, scale: f64, most_width_px: usize) -> Halvings {
        let times = (infrared.width as f64 / most_width_px as f64).log2().ceil().max(0.0) as usize;
        Halvings { infrared: times, visible: (scale * 2f64.powi(times as i32)).log2().round().max(0.0) as usize }
    }

    /// Working pixels in an infrared and in a visible pixel.
    pub(crate) fn factor(self) -> [f64; 2] {
        [self.infrared, self.visible].map(|times| 0.5f64.powi(times as i32))
    }

    /// The infrared and the visible image.
    pub(crate) fn halved(self, shot: &Shot) -> Result<[Seen; 2], CalibError> {
        let halved = |camera, image: &Seen, times: usize| {
            let small = (0..times).try_fold(image.clone(), |image, _| image.halved());
            small.ok_or(CalibError::TooSmall { camera, least: LEAST_SIDE_PX, found: image.size() })
        };
        Ok([halved("infrared", &shot.ir, self.infrared)?, halved("visible", &shot.vi, self.visible)?])
    }
}
