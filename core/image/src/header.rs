//! Sizes from headers, and whether a file reaches its end.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use caf_geometry::Size;
use image::metadata::Orientation;
use image::{ImageDecoder as _, ImageReader};

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

/// Whether the content of a file says that it goes on beyond its end.
pub(crate) fn is_cut_off(bytes: &[u8], format: Format) -> bool {
    match format {
        Format::Jpeg => jpeg::is_cut_off(bytes),
        // Reading from memory fails where the bytes end.
        _ => chunks_are_cut_off(&mut Cursor::new(bytes), format).unwrap_or(true),
    }
}

fn chunks_are_cut_off<R: BufRead + Seek>(reader: &mut R, format: Format) -> io::Result<bool> {
    match format {
        Format::Png => Ok(!png_is_complete(reader)?),
        Format::WebP => Ok(!riff_is_complete(reader)?),
        Format::Jpeg | Format::Bmp | Format::Tiff | Format::Pnm => Ok(false),
    }
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

/// Whether the chunks of a PNG go on to the one that ends it.
fn png_is_complete<R: BufRead + Seek>(reader: &mut R) -> io::Result<bool> {
    let end = reader.seek(SeekFrom::End(0))?;
    let mut at = 8;
    loop {
        if at + 12 > end {
            return Ok(false);
        }
        reader.seek(SeekFrom::Start(at))?;
        let mut chunk = [0; 8];
        reader.read_exact(&mut chunk)?;
        let [l3, l2, l1, l0, kind @ ..] = chunk;
        at += 12 + u64::from(u32::from_be_bytes([l3, l2, l1, l0]));
        if kind == *b"IEND" {
            return Ok(at <= end);
        }
    }
}

/// Whether a RIFF file is as long as it says.
fn riff_is_complete<R: BufRead + Seek>(reader: &mut R) -> io::Result<bool> {
    let end = reader.seek(SeekFrom::End(0))?;
    reader.seek(SeekFrom::Start(4))?;
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    Ok(8 + u64::from(u32::from_le_bytes(length)) <= end)
}
