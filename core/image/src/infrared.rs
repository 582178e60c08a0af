//! Infrared images as planes in \[0,1\].

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use caf_contract::{IrRange, IrScratch, LEAST_USED_SHARE};

use crate::decode::{Pixels, decode, gray_of_8, gray_of_16};
use crate::error::{ImageError, extent_of};
use crate::raster::{Plane, Raster};

/// An infrared image as one plane in \[0,1\].
///
/// 8-bit values are divided by 255; deeper ones are mapped by `range`. Of an image with colour channels, a pixel with three equal
/// channels counts as their value, any other as its luma. The first image of a process that uses less than 5 % of a fixed range
/// is said in the log: the network sees next to no contrast in it.
///
/// # Errors
/// As [`decode`]; [`ImageError::Range`] for a bad `range`, [`ImageError::NoRange`] for floats under [`IrRange::Full`].
pub fn read_ir(path: &Path, range: IrRange) -> Result<Plane, ImageError> {
    range.validate()?;
    unit_plane(decode(path)?, range, path, &mut IrScratch::default())
}

/// As [`read_ir`], of a decoded image; `path` is for messages.
///
/// # Errors
/// [`ImageError::NoRange`] for floats under [`IrRange::Full`].
pub fn unit_plane(pixels: Pixels, range: IrRange, path: &Path, scratch: &mut IrScratch) -> Result<Plane, ImageError> {
    let counts = match pixels {
        Pixels::Gray8(gray) => {
            let data = gray.data().iter().map(|&v| f32::from(v) / 255.0).collect();
            return Raster::new(gray.size(), data);
        }
        Pixels::Rgb8(rgb) => {
            return Raster::new(rgb.size(), rgb.pixels().map(|p| gray_of_8(*p)).collect());
        }
        Pixels::Float { mut plane, found } => {
            let Some(limits) = range.limits_f32(plane.data(), scratch) else {
                return Err(ImageError::NoRange { path: path.to_owned(), found });
            };
            warn(path, range, range.used_share_f32(plane.data(), scratch), || {
                IrRange::Percentile { low: 0.1, high: 99.9 }.limits_f32(plane.data(), &mut IrScratch::default())
            });
            plane.data_mut().iter_mut().for_each(|v| *v = limits.unit(*v));
            return Ok(plane);
        }
        Pixels::Gray16(gray) => gray,
        Pixels::Rgb16(rgb) => counts_of(&rgb)?,
    };
    warn_if_unused(path, counts.data(), range, scratch);
    let mut plane = Plane::like(&counts, 0.0);
    range.map_u16(counts.data(), plane.data_mut(), scratch);
    Ok(plane)
}

fn counts_of(rgb: &Raster<u16, 3>) -> Result<Raster<u16, 1>, ImageError> {
    Raster::new(rgb.size(), rgb.pixels().map(|p| gray_of_16(*p)).collect())
}

impl Pixels {
    /// As an infrared camera's image: 16-bit colour becomes counts, a pixel with three equal channels its value, any other its
    /// luma. Which counts are black and white is said by a range, in every program.
    ///
    /// # Errors
    /// None but those of arrays that do not fit.
    pub fn into_infrared(self) -> Result<Self, ImageError> {
        Ok(match self {
            Self::Rgb16(rgb) => Self::Gray16(counts_of(&rgb)?),
            other => other,
        })
    }
}

/// Whether a warning was given: one is enough, since all images of a camera are alike.
static SAID: AtomicBool = AtomicBool::new(false);

/// Warns, once in a process, of 16-bit values that use less than 5 % of a fixed range.
pub fn warn_if_unused(path: &Path, counts: &[u16], range: IrRange, scratch: &mut IrScratch) {
    if SAID.load(Ordering::Relaxed) {
        return;
    }
    let share = range.used_share_u16(counts, scratch);
    warn(path, range, share, || {
        let spread = IrRange::Percentile { low: 0.1, high: 99.9 };
        Some(spread.limits_u16(counts.iter().copied(), &mut IrScratch::default()))
    });
}

fn warn(path: &Path, range: IrRange, share: Option<f32>, spread: impl FnOnce() -> Option<caf_contract::IrLimits>) {
    let Some(share) = share.filter(|share| *share < LEAST_USED_SHARE) else { return };
    if SAID.swap(true, Ordering::Relaxed) {
        return;
    }
    let values = spread().map(|l| format!(", its values lie in {:.0}..{:.0}", l.low, l.high)).unwrap_or_default();
    tracing::warn!(
        "{}: uses {:.1} % of the infrared range {}{values}: next to no contrast is left. The range is a property of the \
         network: train and run it with a window (MIN..MAX) that fits the camera, or percentiles such as 1,99",
        path.display(),
        share * 100.0,
        extent_of(range),
    );
}
