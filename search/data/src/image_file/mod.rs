//! Image files: sizes from headers, infrared and visible pixels, PNG writing.
//!
//! The kind of a file is recognised by its content, not its extension. EXIF orientation is ignored (see the crate's
//! page for the reason).

mod mask;

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

use caf_contract::IrScratch;
use caf_file::jpeg;
use image::{DynamicImage, ImageEncoder as _, ImageReader};

use crate::color::luma_of;
use crate::error::DataError;
use crate::raster::{Gray8, Plane, Raster, Rgb8};
pub use caf_contract::IrRange;
pub use mask::{MASK_IGNORED, read_mask};

/// Extensions of files that are taken for images, in lower case.
pub const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "bmp", "tif", "tiff"];

/// Whether the extension (any case) is one of [`EXTENSIONS`].
#[must_use]
pub fn has_image_extension(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| EXTENSIONS.contains(&e.to_ascii_lowercase().as_str()))
}

/// Width and height from the header alone; a JPEG is read up to its frame header only.
///
/// # Errors
/// [`DataError::Read`], or [`DataError::Decode`] when the header is broken, cut off or of an unknown kind.
pub fn image_size(path: &Path) -> Result<(usize, usize), DataError> {
    let reader = open(path)?;
    let decode = |source| DataError::Decode { path: path.to_owned(), source };
    let (width, height) = if reader.format() == Some(image::ImageFormat::Jpeg) {
        jpeg::frame_size(&mut reader.into_inner()).map_err(|e| decode(image::ImageError::IoError(e)))?
    } else {
        reader.into_dimensions().map_err(decode)?
    };
    Ok((width as usize, height as usize))
}

/// An infrared picture as one plane in \[0,1\].
///
/// 8-bit values are divided by 255; 16-bit values are mapped by `range`. Of a picture with colour channels, a pixel
/// with three equal channels counts as their value, any other as its luma; alpha is dropped.
///
/// # Errors
/// [`DataError::Read`], [`DataError::Decode`] or [`DataError::Truncated`] with the path; [`DataError::Setting`] for a
/// bad `range`.
pub fn read_ir(path: &Path, range: IrRange) -> Result<Plane, DataError> {
    range.validate()?;
    let (width, height, data) = match decode(path)? {
        DynamicImage::ImageLuma16(gray) => (gray.width(), gray.height(), mapped(range, gray.as_raw())),
        wide @ (DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_) | DynamicImage::ImageLumaA16(_)) => {
            let rgb = wide.into_rgb16();
            let gray: Vec<u16> = rgb.pixels().map(|p| gray_of_16(p.0)).collect();
            (rgb.width(), rgb.height(), mapped(range, &gray))
        }
        DynamicImage::ImageLuma8(gray) => {
            (gray.width(), gray.height(), gray.as_raw().iter().map(|&v| f32::from(v) / 255.0).collect())
        }
        other => {
            let rgb = other.into_rgb8();
            (rgb.width(), rgb.height(), rgb.pixels().map(|p| gray_of_8(p.0)).collect())
        }
    };
    Raster::new(width as usize, height as usize, data)
}

/// A visible picture as 8-bit RGB. One channel is replicated, alpha dropped, 16 bits rounded to 8.
///
/// # Errors
/// [`DataError::Read`], [`DataError::Decode`] or [`DataError::Truncated`] with the path.
pub fn read_vi(path: &Path) -> Result<Rgb8, DataError> {
    let rgb = decode(path)?.into_rgb8();
    Raster::new(rgb.width() as usize, rgb.height() as usize, rgb.into_raw())
}

fn mapped(range: IrRange, values: &[u16]) -> Vec<f32> {
    let mut plane = vec![0.0; values.len()];
    range.map_u16(values, &mut plane, &mut IrScratch::default());
    plane
}

fn gray_of_8(rgb: [u8; 3]) -> f32 {
    let [r, g, b] = rgb;
    if r == g && g == b { f32::from(r) / 255.0 } else { luma_of(rgb) }
}

fn gray_of_16(rgb: [u16; 3]) -> u16 {
    let [r, g, b] = rgb.map(f32::from);
    // The weights sum to 1, so equal channels give back their value and nothing exceeds 65535.
    ((0.299 * r + 0.587 * g) + 0.114 * b).round() as u16
}

fn open(path: &Path) -> Result<ImageReader<BufReader<File>>, DataError> {
    let read = |source| DataError::Read { path: path.to_owned(), source };
    ImageReader::new(BufReader::new(File::open(path).map_err(read)?)).with_guessed_format().map_err(read)
}

fn decode(path: &Path) -> Result<DynamicImage, DataError> {
    let read = |source| DataError::Read { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(read)?;
    let mut reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format().map_err(read)?;
    // A camera's picture has tens of megabytes; a header that claims more than a gigabyte is wrong or hostile.
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(1 << 30);
    reader.limits(limits);
    let image = reader.decode().map_err(|source| DataError::Decode { path: path.to_owned(), source })?;
    if jpeg::is_cut_off(&bytes) { Err(DataError::Truncated { path: path.to_owned() }) } else { Ok(image) }
}

/// Writes an 8-bit gray PNG, aside first and then renamed, so that a reader never sees half a file.
///
/// # Errors
/// [`DataError::Write`] or [`DataError::Encode`] with the path.
pub fn write_gray8(path: &Path, image: &Gray8) -> Result<(), DataError> {
    write_png(path, image, image::ExtendedColorType::L8)
}

/// Writes an 8-bit RGB PNG, aside first and then renamed.
///
/// # Errors
/// [`DataError::Write`] or [`DataError::Encode`] with the path.
pub fn write_rgb8(path: &Path, image: &Rgb8) -> Result<(), DataError> {
    write_png(path, image, image::ExtendedColorType::Rgb8)
}

fn write_png<const C: usize>(
    path: &Path,
    image: &Raster<u8, C>,
    color: image::ExtendedColorType,
) -> Result<(), DataError> {
    let side = |n: usize| {
        u32::try_from(n).map_err(|_| DataError::Shape {
            what: "PNG side",
            expected: format!("at most {}", u32::MAX),
            found: n.to_string(),
        })
    };
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(image.data(), side(image.width())?, side(image.height())?, color)
        .map_err(|source| DataError::Encode { path: path.to_owned(), source })?;
    write_bytes(path, &bytes)
}

/// Writes a whole file: aside in the same folder, then renamed. The folder must exist.
///
/// # Errors
/// [`DataError::Write`] with the path; then nothing new is at `path`.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    caf_file::write(path, bytes).map_err(|source| DataError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
