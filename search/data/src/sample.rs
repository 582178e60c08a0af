//! One pair with its pixels and everything that is said about it.

use caf_image::color::luma;
use caf_image::{Gray8, Label, Plane, Rgb8};

/// One pair with its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the pair.
    pub name: String,
    /// Infrared in \[0,1\].
    pub ir: Plane,
    /// Visible, 8-bit RGB; a gray file is replicated to three channels.
    pub vi: Rgb8,
    /// Whether the visible image has no colour: three equal channels at every pixel, however it was stored.
    pub vi_is_gray: bool,
    /// Objects.
    pub labels: Vec<Label>,
    /// Regions that are neither right nor wrong: not to be trained on, detections there not counted.
    pub ignore: Vec<Label>,
    /// Class ids by pixel, of the size of the pair, [`caf_image::IGNORED_LABEL`] where nothing is said; `None` where the
    /// pair has no mask or masks are ignored.
    pub mask: Option<Gray8>,
}

impl Sample {
    /// The visible luma in \[0,1\], see [`caf_image::color::luma_of`].
    #[must_use]
    pub fn vi_luma(&self) -> Plane {
        luma(&self.vi)
    }
}
