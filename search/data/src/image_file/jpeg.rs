//! The marker structure of a JPEG file, as far as size and completeness need it (ITU-T T.81, annex B).

use std::io::{self, BufRead, Seek, SeekFrom};

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;

/// Markers without a length field: TEM, the restarts and the start and end of the image.
fn stands_alone(marker: u8) -> bool {
    matches!(marker, 0x01 | 0xD0..=0xD9)
}

/// Start of a frame: SOF0 … SOF15, without the tables that sit between them (DHT, JPG, DAC).
fn is_frame_header(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
}

/// Width and height from the frame header; segments before it are skipped, not read.
pub(super) fn frame_size<R: BufRead + Seek>(reader: &mut R) -> io::Result<(u32, u32)> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    if read_array(reader)? != [0xFF, SOI] {
        return Err(bad("no start-of-image marker"));
    }
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
            return Ok((width.into(), height.into()));
        }
        let skip = length.checked_sub(2).ok_or_else(|| bad("a segment shorter than its length field"))?;
        reader.seek(SeekFrom::Current(skip.into()))?;
    }
}

fn read_array<R: BufRead, const N: usize>(reader: &mut R) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the file ends before its JPEG frame header"),
        _ => error,
    })?;
    Ok(bytes)
}

/// Whether the stream reaches its end-of-image marker. Walks segment by segment, since a thumbnail inside a segment
/// has such a marker of its own.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
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
