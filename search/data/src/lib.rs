//! Data sets of infrared and visible pairs: layouts on disk, checks, splits, leaks, augmentation geometry.
//!
//! # Conventions
//!
//! * Images are those of `caf-image`: a visible image is 8-bit **RGB**, an infrared image is one `f32` plane in \[0,1\], both upright.
//! * Pixel coordinates are continuous: pixel `i` covers the half-open interval `[i, i + 1)`, so an image of width `w`
//!   spans `[0, w]` and the centre of its first pixel is at 0.5. Boxes in pixels are in these coordinates, those of `caf-geometry`.
//! * Labels are YOLO: class, centre and size relative to the image, in \[0,1\].
//! * Everything random takes the generator as an argument; the same generator gives the same result on every machine.

pub mod augment;
pub mod dataset;
pub mod error;
pub mod layout;
pub mod leakage;
mod leakage_report;
mod name;
mod offence;
mod sample;
pub mod split;
pub mod thumbnail;
pub mod view;

pub use dataset::{Dataset, DatasetOptions, Entry, Need, require_list};
pub use error::DataError;
pub use leakage_report::LeakageReport;
pub use offence::Offence;
pub use sample::Sample;
pub use view::View;
