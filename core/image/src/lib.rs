//! Images as arrays, and the files around them: the one way in which every program reads an image, lists a folder, matches
//! the two halves of pairs, and reads lists of names and label files.
//!
//! # Conventions
//!
//! * Images are row-major with interleaved channels ([`Raster`]); a visible image is 8-bit **RGB**, an infrared image is one
//!   `f32` plane in \[0,1\].
//! * The content of a file decides what it is, never its name. Read are PNG, JPEG, BMP, TIFF, WebP, and PGM or PPM.
//! * Images stand upright: the orientation that a camera wrote into the file is applied, as viewers do, to pixels as to the
//!   sizes that come from headers.
//! * Infrared of more than 8 bits becomes \[0,1\] by an [`IrRange`], which is a property of the network.
//! * What desktop systems leave in folders is passed over; everything else that is no image is named.

mod camera;
pub mod color;
mod cut_off;
mod decode;
mod error;
pub mod folder;
pub mod format;
mod header;
mod infrared;
pub mod jpeg;
pub mod label;
pub mod list;
mod mask;
mod raster;
pub mod recording;
pub mod resample;
pub mod results;
pub mod rule;
mod write;

pub use caf_contract::{IGNORED_LABEL, IrRange, IrScratch, classes};
pub use camera::Camera;
pub use decode::{Pixels, Visible, byte_of, decode, decode_fourth, read_vi, visible};
pub use error::{ImageError, ImageProblem};
pub use header::{Header, header, image_size, inspect};
pub use infrared::{read_ir, unit_plane, warn_if_unused};
pub use label::Label;
pub use mask::read_mask;
pub use raster::{Gray8, Plane, Raster, Rgb8};
pub use write::{write_bytes, write_gray, write_gray8, write_gray16, write_rgb, write_rgb8};
