//! Writing images: aside first and then renamed, so that a reader never sees half a file.

use std::path::Path;

use caf_geometry::Size;
use image::{ExtendedColorType, ImageEncoder as _};

use crate::error::ImageError;
use crate::raster::{Gray8, Raster, Rgb8};

/// Writes an 8-bit gray PNG.
///
/// # Errors
/// [`ImageError::Write`] or [`ImageError::Encode`] with the path.
pub fn write_gray8(path: &Path, image: &Gray8) -> Result<(), ImageError> {
    write_png(path, image.data(), image.size(), ExtendedColorType::L8)
}

/// Writes a 16-bit gray PNG.
///
/// # Errors
/// [`ImageError::Write`] or [`ImageError::Encode`] with the path.
pub fn write_gray16(path: &Path, image: &Raster<u16, 1>) -> Result<(), ImageError> {
    let bytes: Vec<u8> = image.data().iter().flat_map(|v| v.to_ne_bytes()).collect();
    write_png(path, &bytes, image.size(), ExtendedColorType::L16)
}

/// Writes an 8-bit RGB PNG.
///
/// # Errors
/// [`ImageError::Write`] or [`ImageError::Encode`] with the path.
pub fn write_rgb8(path: &Path, image: &Rgb8) -> Result<(), ImageError> {
    write_png(path, image.data(), image.size(), ExtendedColorType::Rgb8)
}

/// As [`write_rgb8`], of interleaved bytes in row-major order.
///
/// # Errors
/// Those of [`write_rgb8`]; [`ImageError::Shape`] for another number of bytes than three a pixel.
pub fn write_rgb(path: &Path, rgb: &[u8], size: Size) -> Result<(), ImageError> {
    write_bytes_of(path, rgb, size, 3, ExtendedColorType::Rgb8)
}

/// As [`write_gray8`], of bytes in row-major order.
///
/// # Errors
/// Those of [`write_gray8`]; [`ImageError::Shape`] for another number of bytes than one a pixel.
pub fn write_gray(path: &Path, gray: &[u8], size: Size) -> Result<(), ImageError> {
    write_bytes_of(path, gray, size, 1, ExtendedColorType::L8)
}

fn write_bytes_of(
    path: &Path,
    data: &[u8],
    size: Size,
    channels: usize,
    color: ExtendedColorType,
) -> Result<(), ImageError> {
    if size.pixels().and_then(|n| n.checked_mul(channels)).filter(|n| *n > 0) != Some(data.len()) {
        let (expected, found) =
            (format!("{channels} byte(s) for each of {size} pixels"), format!("{} bytes", data.len()));
        return Err(ImageError::Shape { what: "image samples", expected, found });
    }
    write_png(path, data, size, color)
}

fn write_png(path: &Path, data: &[u8], size: Size, color: ExtendedColorType) -> Result<(), ImageError> {
    let side = |n: usize| {
        u32::try_from(n).map_err(|_| ImageError::Shape {
            what: "PNG side",
            expected: format!("at most {}", u32::MAX),
            found: n.to_string(),
        })
    };
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(data, side(size.width)?, side(size.height)?, color)
        .map_err(|source| ImageError::Encode { path: path.to_owned(), source })?;
    write_bytes(path, &bytes)
}

/// Writes a whole file. The folder must exist.
///
/// # Errors
/// [`ImageError::Write`] with the path; then nothing new is at `path`.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    caf_file::write(path, bytes).map_err(|source| ImageError::Write { path: path.to_owned(), source })
}
