//! Whether an image file reaches its end.

use std::io::{self, BufRead, Cursor, Seek, SeekFrom};

use crate::format::Format;
use crate::jpeg;

/// Whether the content of a file says that it goes on beyond its end.
pub(crate) fn is_cut_off(bytes: &[u8], format: Format) -> bool {
    match format {
        Format::Jpeg => jpeg::is_cut_off(bytes),
        // Reading from memory fails where the bytes end.
        _ => chunks_are_cut_off(&mut Cursor::new(bytes), format).unwrap_or(true),
    }
}

/// The same of a PNG or WebP file that is read piece by piece; false for kinds that do not say where they end.
///
/// # Errors
/// When reading fails, also because the file ends within a chunk's head.
pub(crate) fn chunks_are_cut_off<R: BufRead + Seek>(reader: &mut R, format: Format) -> io::Result<bool> {
    match format {
        Format::Png => Ok(!png_is_complete(reader)?),
        Format::WebP => Ok(!riff_is_complete(reader)?),
        Format::Jpeg | Format::Bmp | Format::Tiff | Format::Pnm => Ok(false),
    }
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
