//! Frames that are JPEG files each.

use caf_geometry::Size;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// The marker that ends a JPEG file.
const END: [u8; 2] = [0xFF, 0xD9];

/// Decodes a frame to red, green and blue of the size that was agreed; gray is repeated. Files without tables of codes, as cameras send them, have the usual
/// ones. `None` for a file that is damaged, cut off or of another size: USB loses the ends of frames, and a decoder makes up the rest.
///
/// `out` is allocated once; the decoder has some kilobytes of its own for each frame.
pub fn decode(file: &[u8], size: Size, out: &mut Vec<u8>) -> Option<()> {
    // Drivers fill the last packet with zeros.
    let end = file.iter().rposition(|byte| *byte != 0)?;
    let file = file.get(..=end).filter(|file| file.ends_with(&END))?;
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_strict_mode(true)
        .set_max_width(size.width)
        .set_max_height(size.height);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    decoder.decode_headers().ok()?;
    let info = decoder.info()?;
    let bytes = size.pixels()?.checked_mul(3)?;
    if [usize::from(info.width), usize::from(info.height)] != size.wh() || decoder.output_buffer_size() != Some(bytes) {
        return None;
    }
    out.resize(bytes, 0);
    decoder.decode_into(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;

    const SIZE: Size = Size::new(64, 48);

    fn picture() -> image::RgbImage {
        let smooth = |x: u32, y: u32| [128 + x, 60 + 2 * y, 200 - x].map(|v| v as u8);
        image::RgbImage::from_fn(64, 48, |x, y| image::Rgb(smooth(x, y)))
    }

    fn encoded() -> Vec<u8> {
        let mut file = vec![];
        JpegEncoder::new_with_quality(&mut file, 95).encode_image(&picture()).unwrap();
        file
    }

    #[test]
    fn a_known_picture_comes_back_and_the_filling_behind_it_does_not_matter() {
        let mut file = encoded();
        file.extend([0; 100]);
        let mut out = vec![];
        decode(&file, SIZE, &mut out).unwrap();
        let worst = out.iter().zip(picture().as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
        // What quality 95 leaves of a smooth picture.
        assert!(worst <= Some(4), "{worst:?}");
        let place = out.as_ptr();
        decode(&file, SIZE, &mut out).unwrap();
        assert_eq!(out.as_ptr(), place, "the memory is used again");
    }

    #[test]
    fn gray_is_repeated() {
        let gray = image::GrayImage::from_fn(64, 48, |x, y| image::Luma([(x + 2 * y) as u8]));
        let mut file = vec![];
        JpegEncoder::new_with_quality(&mut file, 95).encode_image(&gray).unwrap();
        let mut out = vec![];
        decode(&file, SIZE, &mut out).unwrap();
        assert!(out.as_chunks::<3>().0.iter().all(|[r, g, b]| r == g && g == b));
    }

    #[test]
    fn the_usual_tables_serve_a_file_that_has_none() {
        // As UVC cameras send them: `AVI1` in the first segment, and no segment of Huffman tables. The encoder uses those of the standard's annex K.
        let file = encoded();
        let mut bare = vec![0xFF, 0xD8, 0xFF, 0xE0, 0, 16];
        bare.extend(b"AVI1\0\0\0\0\0\0\0\0\0\0");
        let mut at = 2;
        while file[at + 1] != 0xDA {
            let length = 2 + usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
            if !matches!(file[at + 1], 0xC4 | 0xE0) {
                bare.extend(&file[at..at + length]);
            }
            at += length;
        }
        bare.extend(&file[at..]);
        assert!(bare.len() < file.len());
        let (mut expected, mut found) = (vec![], vec![]);
        decode(&file, SIZE, &mut expected).unwrap();
        decode(&bare, SIZE, &mut found).unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_cut_off_or_of_another_size_is_no_frame() {
        let file = encoded();
        let mut out = vec![];
        assert!(decode(&file, Size::new(64, 40), &mut out).is_none());
        assert!(decode(&file, Size::new(96, 48), &mut out).is_none());
        for end in [0, 1, 20, file.len() / 2, file.len() - 1] {
            assert!(decode(&file[..end], SIZE, &mut out).is_none(), "{end}");
        }
        // The middle is lost and the end has come.
        let mut lost = file.clone();
        lost.drain(file.len() / 2..file.len() - 2);
        assert!(decode(&lost, SIZE, &mut out).is_none());
    }
}
