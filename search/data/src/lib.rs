//! Data sets of infrared and visible pairs: reading, labels, splits, augmentation geometry, colour.
//!
//! # Conventions
//!
//! * Images are row-major with interleaved channels ([`raster::Raster`]); a visible image is 8-bit **RGB**, an infrared
//!   image is one `f32` plane in \[0,1\].
//! * Pixel coordinates are continuous: pixel `i` covers the half-open interval `[i, i + 1)`, so an image of width `w`
//!   spans `[0, w]` and the centre of its first pixel is at 0.5. Boxes in pixels are in these coordinates, those of `caf-geometry`.
//! * A pair of sizes is named for its order: `_wh` is width, height.
//! * Labels on disk and in [`label::Label`] are YOLO: class, centre and size relative to the image, in \[0,1\].
//! * The EXIF orientation of a picture is ignored: cameras of one rig write none, and turning only one half of a pair
//!   would destroy the alignment.
//! * Everything random takes the generator as an argument; the same generator gives the same result on every machine.

pub mod augment;
pub mod color;
pub mod dataset;
pub mod error;
pub mod image_file;
pub mod label;
pub mod leakage;
pub mod raster;
pub mod split;
pub mod view;

pub use dataset::{Dataset, DatasetOptions, Need, Sample};
pub use error::{DataError, Offence};
pub use image_file::IrRange;
pub use label::Label;
pub use raster::{Gray8, Plane, Raster, Rgb8};
pub use view::View;
