//! JPEG files to the very bytes that libjpeg and libjpeg-turbo give with their default settings, and with them MATLAB, OpenCV,
//! Pillow and all that published numbers were computed with.
//!
//! The standard (ITU-T T.81) leaves open how the inverse transform is rounded and how colour of half the resolution is brought
//! to the full one. Other decoders differ there by up to five levels in one sample of twenty, enough to change the published
//! digits of nearly every fusion metric.
//!
//! Read are files of 8 bits with Huffman codes in sequential order, of one component or of three: what cameras, data sets and
//! benchmarks hold. [`JpegError::Unsupported`] says of others (progressive, arithmetic, 12 bits, four components) what they
//! are; a decoder of all kinds can take those.

mod entropy;
mod header;
mod huffman;
mod samples;
mod transform;

use caf_geometry::Size;

/// A decoded image, as stored: an EXIF orientation is not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Width and height.
    pub size: Size,
    /// 1 (gray) or 3 (red, green, blue).
    pub channels: usize,
    /// Row by row, channels interleaved.
    pub pixels: Vec<u8>,
}

/// Why a file was not decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JpegError {
    /// A kind of JPEG that is not read here.
    #[error("expected a sequential JPEG of 8 bits with one or three components, found {found}")]
    Unsupported {
        /// What it is.
        found: String,
    },
    /// A file that breaks the rules of its format.
    #[error("at byte {at}: {what}")]
    Broken {
        /// Where it was noticed.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A file that ends before its image does.
    #[error("the file ends at byte {at}, before the image is complete")]
    CutOff {
        /// Length of what there is.
        at: usize,
    },
    /// An image of more samples than are wanted.
    #[error("an image of {size} pixels is larger than the {most_samples} samples allowed")]
    TooLarge {
        /// The size that the file states.
        size: Size,
        /// The limit.
        most_samples: usize,
    },
}

impl JpegError {
    /// Never: every error here is about the content of a file.
    pub fn is_wrong_call(&self) -> bool {
        false
    }
}

/// Decodes a file. Its header may announce at most `most_samples` samples; memory is asked for only then.
///
/// # Errors
/// [`JpegError`].
pub fn decode(bytes: &[u8], most_samples: usize) -> Result<Decoded, JpegError> {
    let mut file = header::File::new(bytes);
    let frame = match file.next_segment()? {
        header::Segment::Scan(_) => return Err(file.broken("image data before a frame header")),
        header::Segment::End => return Err(file.broken("no image")),
        header::Segment::Frame(frame) => frame,
    };
    let size = frame.size;
    if size.pixels().and_then(|n| n.checked_mul(frame.components.len())).is_none_or(|n| n > most_samples) {
        return Err(JpegError::TooLarge { size, most_samples });
    }
    let mut planes: Vec<samples::Plane> = frame.components.iter().map(|c| samples::Plane::new(&frame, c)).collect();
    let mut seen = vec![false; planes.len()];
    while seen.contains(&false) {
        match file.next_segment()? {
            header::Segment::Frame(_) => return Err(file.broken("a second frame header")),
            header::Segment::End => return Err(file.broken("a component without image data")),
            header::Segment::Scan(scan) => {
                entropy::scan(&mut file, &frame, &scan, &mut planes)?;
                scan.components.iter().for_each(|c| seen[c.index] = true);
            }
        }
    }
    let channels = planes.len();
    Ok(Decoded { size, channels, pixels: samples::interleave(&frame, &planes, file.colour(&frame)) })
}
