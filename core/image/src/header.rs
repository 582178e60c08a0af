//! Sizes from headers.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use caf_geometry::Size;
use image::metadata::Orientation;
use image::{ImageDecoder as _, ImageReader};

use crate::cut_off::chunks_are_cut_off;
use crate::error::ImageError;
use crate::format::{self, Format};
use crate::{decode, jpeg};

/// What the beginning of an image file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Kind of the file.
    pub format: Format,
    /// Size of the upright image.
    pub size: Size,
    /// Whether the stored image is turned or mirrored to stand upright.
    pub turned: bool,
}

/// Kind, size and orientation from the header alone; a JPEG is read up to its frame header only.
///
/// # Errors
/// [`ImageError::Read`]; [`ImageError::NotAnImage`] for another kind of file; [`ImageError::Decode`] when the header is broken,
/// [`ImageError::CutOff`] when the file ends in it.
pub fn header(path: &Path) -> Result<Header, ImageError> {
    let (mut reader, format) = open(path)?;
    let failed = ImageError::undecoded(path);
    let (stored, orientation) = match format {
        Format::Jpeg => {
            let frame = jpeg::frame(&mut reader).map_err(|e| failed(image::ImageError::IoError(e)))?;
            (frame.size, frame.orientation)
        }
        Format::Tiff => decode::tiff_header(reader).map_err(failed)?,
        Format::Png | Format::Bmp | Format::WebP | Format::Pnm => {
            let mut decoder = ImageReader::with_format(reader, format.decoder()).into_decoder().map_err(failed)?;
            (decoder.dimensions(), decoder.orientation().map_err(failed)?)
        }
    };
    let (width, height) = (stored.0 as usize, stored.1 as usize);
    let size = if decode::swaps_sides(orientation) { Size::new(height, width) } else { Size::new(width, height) };
    Ok(Header { format, size, turned: orientation != Orientation::NoTransforms })
}

/// Width and height of the upright image, from the header alone.
///
/// # Errors
/// As [`header`].
pub fn image_size(path: &Path) -> Result<Size, ImageError> {
    Ok(header(path)?.size)
}

/// As [`header`], and looks whether the file reaches its end: JPEG, PNG and WebP tell, without decoding a pixel. It finds the
/// broken files among thousands before the work begins.
///
/// # Errors
/// As [`header`], and [`ImageError::CutOff`].
pub fn inspect(path: &Path) -> Result<Header, ImageError> {
    let header = header(path)?;
    let read = |source| ImageError::Read { path: path.to_owned(), source };
    let cut_off = match header.format {
        Format::Jpeg => jpeg::is_cut_off(&std::fs::read(path).map_err(read)?),
        format => chunks_are_cut_off(&mut open(path)?.0, format).map_err(read)?,
    };
    if cut_off { Err(ImageError::CutOff { path: path.to_owned() }) } else { Ok(header) }
}

/// Opens a file at its beginning and tells its kind.
fn open(path: &Path) -> Result<(BufReader<File>, Format), ImageError> {
    let read = |source| ImageError::Read { path: path.to_owned(), source };
    let mut reader = BufReader::new(File::open(path).map_err(read)?);
    let head = reader.fill_buf().map_err(read)?;
    let head = head.get(..format::HEAD).unwrap_or(head);
    match Format::of_content(head) {
        Some(format) => Ok((reader, format)),
        None => Err(ImageError::NotAnImage { path: path.to_owned(), found: format::describe(head) }),
    }
}

/// The first bytes of a file, for its kind.
pub(crate) fn head_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(format::HEAD);
    File::open(path)?.take(format::HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}
