//! The marker structure of a JPEG file, as far as size and completeness need it (ITU-T T.81, annex B).
//!
//! Decoders fill what a file cut off lacks with gray and report success, so that whoever reads images asks
//! [`is_cut_off`] as well.

use std::io::{self, BufRead, Seek, SeekFrom};

use image::metadata::Orientation;

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
/// Application data, among it EXIF.
const APP1: u8 = 0xE1;

/// Markers without a length field: TEM, the restarts and the start and end of the image.
fn stands_alone(marker: u8) -> bool {
    matches!(marker, 0x01 | 0xD0..=0xD9)
}

/// Start of a frame: SOF0 … SOF15, without the tables that sit between them (DHT, JPG, DAC).
fn is_frame_header(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
}

/// What stands before a JPEG's image data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Columns and rows as stored.
    pub size: (u32, u32),
    /// How the stored image is turned to stand upright.
    pub orientation: Orientation,
}

/// Size and orientation from the segments up to the frame header; of those before it only EXIF is read, the others are skipped.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for what is no JPEG, has no frame header before its image data or a frame of no pixels;
/// [`io::ErrorKind::UnexpectedEof`] when the file ends before the frame header; what the reader refuses.
pub fn frame<R: BufRead + Seek>(reader: &mut R) -> io::Result<Frame> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    if read_array(reader)? != [0xFF, SOI] {
        return Err(bad("no start-of-image marker"));
    }
    let mut orientation = None;
    loop {
        let [mut byte] = read_array(reader)?;
        if byte != 0xFF {
            return Err(bad("expected a marker between JPEG segments"));
        }
        // Any number of fill bytes may stand before a marker.
        while byte == 0xFF {
            [byte] = read_array(reader)?;
        }
        if byte == EOI || byte == SOS {
            return Err(bad("no frame header before the image data"));
        }
        if stands_alone(byte) {
            continue;
        }
        let length = u16::from_be_bytes(read_array(reader)?);
        if is_frame_header(byte) {
            let [_precision, h1, h0, w1, w0]: [u8; 5] = read_array(reader)?;
            let (height, width) = (u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]));
            if width == 0 || height == 0 {
                return Err(bad("a frame header with an empty side"));
            }
            let orientation = orientation.unwrap_or(Orientation::NoTransforms);
            return Ok(Frame { size: (width.into(), height.into()), orientation });
        }
        let skip = length.checked_sub(2).ok_or_else(|| bad("a segment shorter than its length field"))?;
        // The first EXIF segment counts, as in the decoder; others of this marker hold other data (XMP).
        if byte == APP1 && orientation.is_none() {
            let mut segment = vec![0; usize::from(skip)];
            reader.read_exact(&mut segment).map_err(before_frame)?;
            if let Some(exif) = segment.strip_prefix(b"Exif\0\0") {
                orientation = Some(Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms));
            }
        } else {
            reader.seek(SeekFrom::Current(skip.into()))?;
        }
    }
}

fn read_array<R: BufRead, const N: usize>(reader: &mut R) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(before_frame)?;
    Ok(bytes)
}

fn before_frame(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the file ends before its JPEG frame header"),
        _ => error,
    }
}

/// Whether the bytes begin as a JPEG and end before its end-of-image marker. Bytes of another kind of file are not
/// judged: `false`. What follows the marker (some cameras append data) does no harm.
#[must_use]
pub fn is_cut_off(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, SOI]) && !is_complete(bytes)
}

/// Whether the stream reaches its end-of-image marker. Walks segment by segment, since a thumbnail inside a segment
/// has such a marker of its own.
fn is_complete(bytes: &[u8]) -> bool {
    let mut rest = match bytes {
        [0xFF, SOI, rest @ ..] => rest,
        _ => return false,
    };
    let mut in_scan = false;
    loop {
        rest = match *rest {
            [] | [_] => return false,
            [0xFF, EOI, ..] => return true,
            // Inside a scan: stuffed zero bytes and restart markers are data.
            [0xFF, 0x00 | 0xD0..=0xD7, ref tail @ ..] if in_scan => tail,
            [0xFF, 0xFF, ..] => rest.get(1..).unwrap_or_default(),
            [0xFF, marker, ref tail @ ..] if stands_alone(marker) => tail,
            [0xFF, marker, high, low, ..] => {
                in_scan = marker == SOS;
                let Some(after) = rest.get(2 + usize::from(u16::from_be_bytes([high, low]))..) else { return false };
                after
            }
            [0xFF, ..] => return false,
            [_, ref tail @ ..] if in_scan => match tail.iter().position(|&b| b == 0xFF) {
                Some(next) => tail.get(next..).unwrap_or_default(),
                None => return false,
            },
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment: marker, length, payload.
    fn segment(marker: u8, payload: &[u8]) -> Vec<u8> {
        [&[0xFF, marker][..], &(payload.len() as u16 + 2).to_be_bytes(), payload].concat()
    }

    /// A frame of 37 × 21 pixels, a thumbnail's end marker in a segment, stuffed bytes, a restart and fill bytes; no
    /// decoder looks at the scan.
    fn image() -> Vec<u8> {
        let thumbnail = segment(0xE1, &[0xFF, SOI, 0xFF, EOI]);
        let frame = segment(0xC0, &[8, 0, 21, 0, 37, 1, 1, 0x11, 0]);
        let scan = [&segment(SOS, &[1, 1, 0, 0, 63, 0])[..], &[1, 2, 0xFF, 0, 3, 0xFF, 0xD0, 4, 5]].concat();
        [&[0xFF, SOI][..], &thumbnail, &frame, &scan, &[0xFF, 0xFF, EOI]].concat()
    }

    #[test]
    fn an_image_cut_anywhere_is_cut_off() {
        let whole = image();
        assert!(!is_cut_off(&whole));
        assert!(!is_cut_off(&[&whole[..], b"trailer"].concat()));
        for end in 2..whole.len() {
            assert!(is_cut_off(&whole[..end]), "{end} of {} bytes", whole.len());
        }
    }

    #[test]
    fn other_files_are_not_judged() {
        for other in [&b""[..], b"\xFF", b"BM\x00\x00", b"\x89PNG\r\n\x1A\n"] {
            assert!(!is_cut_off(other), "{other:?}");
        }
    }

    #[test]
    fn the_size_is_that_of_the_frame_header() {
        let size = |bytes: &[u8]| frame(&mut io::Cursor::new(bytes)).map(|frame| frame.size);
        assert_eq!(size(&image()).unwrap(), (37, 21));
        assert_eq!(size(&image()[..14]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let without_frame = [&[0xFF, SOI][..], &segment(SOS, &[])].concat();
        for bad in [&b"BM"[..], &without_frame, &[0xFF, SOI, 7], &[0xFF, SOI, 0xFF, 0xE0, 0, 1]] {
            assert_eq!(size(bad).unwrap_err().kind(), io::ErrorKind::InvalidData, "{bad:?}");
        }
    }
}
