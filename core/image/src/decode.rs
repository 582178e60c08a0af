//! From files to upright arrays.

use caf_geometry::Size;
use std::io::{BufRead, Cursor, Seek};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use tiff::decoder::DecodingResult;
use tiff::tags::{SampleFormat, Tag};

use crate::color::luma_of;
use crate::error::ImageError;
use crate::format::{self, Format};
use crate::raster::{Gray8, Plane, Raster, Rgb8};
use crate::{cut_off, jpeg};

/// A camera's image has tens of megabytes; a header that claims more than a gigabyte is wrong or hostile.
pub(crate) const MOST_BYTES: u64 = 1 << 30;

/// A decoded image, upright and without transparency, as deep as its file.
#[derive(Debug, Clone, PartialEq)]
pub enum Pixels {
    /// 8-bit gray.
    Gray8(Gray8),
    /// 16-bit gray: counts as the camera gave them.
    Gray16(Raster<u16, 1>),
    /// Floats, or integers that 16 bits do not hold: kelvin, degrees Celsius or whatever the file's writer chose.
    Float {
        /// The samples.
        plane: Plane,
        /// What the file holds, for messages.
        found: String,
    },
    /// 8-bit RGB.
    Rgb8(Rgb8),
    /// 16-bit RGB.
    Rgb16(Raster<u16, 3>),
}

/// Reads an image of any kind that is read.
///
/// Bits and palettes are widened to 8-bit samples, transparency is dropped, the orientation of the file is applied. Of files with
/// several images the first is taken. A PGM or PPM of 16-bit samples keeps its counts, whatever it
/// states as the largest (14-bit cameras say 16383), as the same camera's PNG does; of 8-bit samples the largest becomes 255.
///
/// # Errors
/// [`ImageError::Read`]; [`ImageError::NotAnImage`] for another kind of file; [`ImageError::Decode`] for a broken one;
/// [`ImageError::CutOff`] for one that ends too early.
pub fn decode(path: &Path) -> Result<Pixels, ImageError> {
    let bytes = std::fs::read(path).map_err(|source| ImageError::Read { path: path.to_owned(), source })?;
    decode_bytes(&bytes, path)
}

/// As [`decode`], of a file's content; `path` is for errors.
pub(crate) fn decode_bytes(bytes: &[u8], path: &Path) -> Result<Pixels, ImageError> {
    let head = bytes.get(..format::HEAD).unwrap_or(bytes);
    let format = Format::of_content(head)
        .ok_or_else(|| ImageError::NotAnImage { path: path.to_owned(), found: format::describe(head) })?;
    let failed = ImageError::undecoded(path);
    if format == Format::Tiff
        && let Some(pixels) = tiff_wide(bytes).map_err(failed)?
    {
        return Ok(pixels);
    }
    let (image, orientation) = dynamic(bytes, format, path)?;
    let mut pixels = Pixels::of(image)?.turned(orientation)?;
    if format == Format::Pnm {
        pixels.keep_counts(pnm_maximum(bytes));
    }
    Ok(pixels)
}

/// The fourth channel of an image of four, as gray: where MFNet keeps the infrared half of a pair, behind the colours.
///
/// # Errors
/// As [`decode`]; [`ImageError::Samples`] for an image without a fourth channel.
pub fn decode_fourth(path: &Path) -> Result<Pixels, ImageError> {
    let bytes = std::fs::read(path).map_err(|source| ImageError::Read { path: path.to_owned(), source })?;
    let head = bytes.get(..format::HEAD).unwrap_or(&bytes);
    let format = Format::of_content(head)
        .ok_or_else(|| ImageError::NotAnImage { path: path.to_owned(), found: format::describe(head) })?;
    let (image, orientation) = dynamic(&bytes, format, path)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let pixels = match image {
        DynamicImage::ImageRgba8(rgba) => {
            Pixels::Gray8(Raster::new(Size { width, height }, rgba.pixels().map(|p| p.0[3]).collect())?)
        }
        DynamicImage::ImageRgba16(rgba) => {
            Pixels::Gray16(Raster::new(Size { width, height }, rgba.pixels().map(|p| p.0[3]).collect())?)
        }
        other => {
            let (expected, found) = ("an image of four channels", format!("{:?} pixels", other.color()));
            return Err(ImageError::Samples { path: path.to_owned(), expected, found });
        }
    };
    pixels.turned(orientation)
}

/// The decoder's image as stored, and how it is turned.
fn dynamic(bytes: &[u8], format: Format, path: &Path) -> Result<(DynamicImage, Orientation), ImageError> {
    if cut_off::is_cut_off(bytes, format) {
        return Err(ImageError::CutOff { path: path.to_owned() });
    }
    if format == Format::Jpeg
        && let Some(image) = libjpeg(bytes)
    {
        let frame = jpeg::frame(&mut Cursor::new(bytes));
        return Ok((image, frame.map_or(Orientation::NoTransforms, |frame| frame.orientation)));
    }
    let failed = ImageError::undecoded(path);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format.decoder());
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(failed)?;
    // Only an image of its own limits is refused before its memory is asked for.
    limits.reserve(decoder.total_bytes()).map_err(failed)?;
    decoder.set_limits(limits).map_err(failed)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    Ok((image, orientation))
}

/// A JPEG to the bytes of libjpeg, with which published numbers were computed; `None` for kinds that only the decoder of all kinds
/// reads, and for broken files, of which it says more.
fn libjpeg(bytes: &[u8]) -> Option<DynamicImage> {
    let decoded = caf_jpeg::decode(bytes, MOST_BYTES as usize).ok()?;
    let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (width, height) = (side(decoded.size.width), side(decoded.size.height));
    match decoded.channels {
        1 => image::GrayImage::from_raw(width, height, decoded.pixels).map(DynamicImage::ImageLuma8),
        _ => image::RgbImage::from_raw(width, height, decoded.pixels).map(DynamicImage::ImageRgb8),
    }
}

/// A visible image as 8-bit RGB. One channel is replicated, 16 bits are rounded to 8.
///
/// # Errors
/// As [`decode`]; [`ImageError::Samples`] for floats.
pub fn read_vi(path: &Path) -> Result<Rgb8, ImageError> {
    match visible(decode(path)?, path)? {
        Visible::Gray(gray) => Raster::new(gray.size(), gray.data().iter().flat_map(|v| [*v; 3]).collect()),
        Visible::Rgb(rgb) => Ok(rgb),
    }
}

/// A visible image: 8 bits, gray or colour as its file.
#[derive(Debug, Clone, PartialEq)]
pub enum Visible {
    /// Gray, for which all three channels are equal.
    Gray(Gray8),
    /// Colour.
    Rgb(Rgb8),
}

/// A decoded image as a visible one: 16 bits are rounded to 8; `path` is for errors.
///
/// # Errors
/// [`ImageError::Samples`] for floats.
pub fn visible(pixels: Pixels, path: &Path) -> Result<Visible, ImageError> {
    let bytes = |data: &[u16]| data.iter().map(|v| byte_of(*v)).collect();
    Ok(match pixels {
        Pixels::Gray8(gray) => Visible::Gray(gray),
        Pixels::Rgb8(rgb) => Visible::Rgb(rgb),
        Pixels::Gray16(gray) => Visible::Gray(Raster::new(gray.size(), bytes(gray.data()))?),
        Pixels::Rgb16(rgb) => Visible::Rgb(Raster::new(rgb.size(), bytes(rgb.data()))?),
        Pixels::Float { found, .. } => {
            let expected = "a visible image of 8 or 16 bits (PNG, JPEG, BMP, TIFF, WebP, PGM, PPM)";
            return Err(ImageError::Samples { path: path.to_owned(), expected, found });
        }
    })
}

/// 16 bits rounded to 8: `v · 255 / 65535 = v / 257`.
#[must_use]
pub fn byte_of(v: u16) -> u8 {
    // At most 255.
    ((u32::from(v) + 128) / 257) as u8
}

/// Gray of a pixel in \[0,1\]: equal channels are their value, others their luma.
pub(crate) fn gray_of_8(rgb: [u8; 3]) -> f32 {
    let [r, g, b] = rgb;
    if r == g && g == b { f32::from(r) / 255.0 } else { luma_of(rgb) }
}

/// Gray of a pixel as a count.
pub(crate) fn gray_of_16(rgb: [u16; 3]) -> u16 {
    let [r, g, b] = rgb.map(f32::from);
    // The weights sum to 1, so equal channels give back their value and nothing exceeds 65535.
    ((0.299 * r + 0.587 * g) + 0.114 * b).round() as u16
}

impl Pixels {
    fn of(image: DynamicImage) -> Result<Self, ImageError> {
        let (width, height) = (image.width() as usize, image.height() as usize);
        Ok(match image {
            DynamicImage::ImageLuma8(_) | DynamicImage::ImageLumaA8(_) => {
                Self::Gray8(Raster::new(Size { width, height }, image.into_luma8().into_raw())?)
            }
            DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA16(_) => {
                Self::Gray16(Raster::new(Size { width, height }, image.into_luma16().into_raw())?)
            }
            DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_) => {
                Self::Rgb16(Raster::new(Size { width, height }, image.into_rgb16().into_raw())?)
            }
            DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_) => {
                let rgb = image.into_rgb32f();
                let gray = |p: &image::Rgb<f32>| (0.299 * p.0[0] + 0.587 * p.0[1]) + 0.114 * p.0[2];
                let plane = Raster::new(Size { width, height }, rgb.pixels().map(gray).collect())?;
                Self::Float { plane, found: "32-bit float samples".to_owned() }
            }
            other => Self::Rgb8(Raster::new(Size { width, height }, other.into_rgb8().into_raw())?),
        })
    }

    fn turned(self, orientation: Orientation) -> Result<Self, ImageError> {
        Ok(match self {
            upright if orientation == Orientation::NoTransforms => upright,
            Self::Gray8(image) => Self::Gray8(turned(&image, orientation)?),
            Self::Gray16(image) => Self::Gray16(turned(&image, orientation)?),
            Self::Float { plane, found } => Self::Float { plane: turned(&plane, orientation)?, found },
            Self::Rgb8(image) => Self::Rgb8(turned(&image, orientation)?),
            Self::Rgb16(image) => Self::Rgb16(turned(&image, orientation)?),
        })
    }

    /// Undoes the decoder's scaling of 16-bit samples from `maximum` to 65535, so that counts are those of the camera.
    fn keep_counts(&mut self, maximum: u32) {
        let data = match self {
            Self::Gray16(image) => image.data_mut(),
            Self::Rgb16(image) => image.data_mut(),
            Self::Gray8(_) | Self::Rgb8(_) | Self::Float { .. } => return,
        };
        for v in data {
            // The decoder rounds count · 65535 / maximum, which spreads the counts of 9 to 15 bits further apart than a rounding.
            *v = ((u64::from(*v) * u64::from(maximum) + 32767) / 65535) as u16;
        }
    }
}

/// The largest value a Netpbm file says its samples have.
fn pnm_maximum(bytes: &[u8]) -> u32 {
    let decoder = image::codecs::pnm::PnmDecoder::new(Cursor::new(bytes));
    decoder.map_or(65535, |d| d.header().maximal_sample())
}

/// Whether width and height change places.
pub(crate) fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{FlipHorizontal, FlipVertical, NoTransforms, Rotate180};
    !matches!(orientation, NoTransforms | Rotate180 | FlipHorizontal | FlipVertical)
}

fn turned<T: Copy, const C: usize>(image: &Raster<T, C>, orientation: Orientation) -> Result<Raster<T, C>, ImageError> {
    let (w, h) = (image.width(), image.height());
    let (width, height) = if swaps_sides(orientation) { (h, w) } else { (w, h) };
    let mut data = Vec::with_capacity(w * h * C);
    for y in 0..height {
        for x in 0..width {
            let (x, y) = match orientation {
                Orientation::NoTransforms => (x, y),
                Orientation::FlipHorizontal => (w - 1 - x, y),
                Orientation::Rotate180 => (w - 1 - x, h - 1 - y),
                Orientation::FlipVertical => (x, h - 1 - y),
                Orientation::Rotate90FlipH => (y, x),
                Orientation::Rotate90 => (y, h - 1 - x),
                Orientation::Rotate270FlipH => (w - 1 - y, h - 1 - x),
                Orientation::Rotate270 => (w - 1 - y, x),
            };
            data.extend(image.pixel(x, y).into_iter().flatten());
        }
    }
    Raster::new(Size { width, height }, data)
}

/// Stored size and orientation of a TIFF, also of one with samples that only [`tiff_wide`] reads.
pub(crate) fn tiff_header<R: BufRead + Seek>(reader: R) -> Result<((u32, u32), Orientation), image::ImageError> {
    let mut decoder = tiff::decoder::Decoder::new(reader).map_err(tiff_error)?;
    Ok((decoder.dimensions().map_err(tiff_error)?, tiff_orientation(&mut decoder)))
}

fn tiff_orientation<R: BufRead + Seek>(decoder: &mut tiff::decoder::Decoder<R>) -> Orientation {
    let tag = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
    tag.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

fn tiff_error(error: tiff::TiffError) -> image::ImageError {
    match error {
        tiff::TiffError::IoError(error) => image::ImageError::IoError(error),
        error => image::ImageError::Decoding(image::error::DecodingError::new(image::ImageFormat::Tiff.into(), error)),
    }
}

/// A TIFF of one channel with floats, signed or more than 16-bit integers; `None` for all others.
fn tiff_wide(bytes: &[u8]) -> Result<Option<Pixels>, image::ImageError> {
    let mut limits = tiff::decoder::Limits::default();
    limits.decoding_buffer_size = MOST_BYTES as usize;
    let mut decoder = tiff::decoder::Decoder::new(Cursor::new(bytes)).map_err(tiff_error)?.with_limits(limits);
    let tiff::ColorType::Gray(bits) = decoder.colortype().map_err(tiff_error)? else { return Ok(None) };
    let format = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).map_err(tiff_error)?;
    let format = format.and_then(|f| f.first().copied()).map_or(SampleFormat::Uint, SampleFormat::from_u16_exhaustive);
    if format == SampleFormat::Uint && bits <= 16 {
        return Ok(None);
    }
    let (width, height) = decoder.dimensions().map_err(tiff_error)?;
    let orientation = tiff_orientation(&mut decoder);
    let samples: Vec<f32> = match decoder.read_image().map_err(tiff_error)? {
        DecodingResult::U8(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::U16(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::U32(v) => v.into_iter().map(|v| v as f32).collect(),
        DecodingResult::U64(v) => v.into_iter().map(|v| v as f32).collect(),
        DecodingResult::I8(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::I16(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::I32(v) => v.into_iter().map(|v| v as f32).collect(),
        DecodingResult::I64(v) => v.into_iter().map(|v| v as f32).collect(),
        DecodingResult::F16(v) => v.into_iter().map(f32::from).collect(),
        DecodingResult::F32(v) => v,
        DecodingResult::F64(v) => v.into_iter().map(|v| v as f32).collect(),
    };
    let kind = match format {
        SampleFormat::IEEEFP => "float",
        SampleFormat::Int => "signed integer",
        _ => "integer",
    };
    let broken = |error: ImageError| {
        image::ImageError::Decoding(image::error::DecodingError::new(image::ImageFormat::Tiff.into(), error))
    };
    let plane = Raster::new(Size::new(width as usize, height as usize), samples).map_err(broken)?;
    let float = Pixels::Float { plane, found: format!("{bits}-bit {kind} samples") };
    float.turned(orientation).map(Some).map_err(broken)
}

#[cfg(test)]
mod tests;
