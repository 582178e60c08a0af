//! Class masks: one class id a pixel, read without any mapping of values.

use caf_geometry::Size;
use std::path::Path;

use crate::decode::{Pixels, decode_bytes};
use crate::error::ImageError;
use crate::raster::{Gray8, Raster};

/// A class mask: one id a pixel, [`crate::IGNORED_LABEL`] where nothing is said.
///
/// Gray files hold the ids themselves, files with a palette hold them as indices into it (the palette is for people to look
/// at). Three equal channels count as gray; a coloured mask has no ids and is refused.
///
/// # Errors
/// As [`crate::decode`]; [`ImageError::Mask`] for colours and for ids above 255.
pub fn read_mask(path: &Path) -> Result<Gray8, ImageError> {
    let bytes = std::fs::read(path).map_err(|source| ImageError::Read { path: path.to_owned(), source })?;
    if let Some(ids) = png_ids(&bytes) {
        return ids;
    }
    let refused = |found: String| ImageError::Mask { path: path.to_owned(), found };
    match decode_bytes(&bytes, path)? {
        Pixels::Gray8(ids) => Ok(ids),
        Pixels::Gray16(gray) => {
            let id = |v: &u16| u8::try_from(*v).map_err(|_| refused(format!("the value {v}")));
            Raster::new(gray.size(), gray.data().iter().map(id).collect::<Result<_, _>>()?)
        }
        Pixels::Rgb8(rgb) => {
            let id = |p: &[u8; 3]| match *p {
                [r, g, b] if r == g && g == b => Ok(r),
                colour => Err(refused(format!("the colour {colour:?}"))),
            };
            Raster::new(rgb.size(), rgb.pixels().map(id).collect::<Result<_, _>>()?)
        }
        Pixels::Rgb16(_) => Err(refused("16-bit colours".to_owned())),
        Pixels::Float { found, .. } => Err(refused(found)),
    }
}

/// The ids of a PNG whose samples are palette indices or narrower than a byte, which the general decoder would map to
/// colours; `None` for any other file.
fn png_ids(bytes: &[u8]) -> Option<Result<Gray8, ImageError>> {
    let mut decoder = png::Decoder::new_with_limits(std::io::Cursor::new(bytes), png::Limits { bytes: 1 << 30 });
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().ok()?;
    let (color, depth) = (reader.info().color_type, reader.info().bit_depth);
    let narrow = matches!(depth, png::BitDepth::One | png::BitDepth::Two | png::BitDepth::Four);
    if !(color == png::ColorType::Indexed || color == png::ColorType::Grayscale && narrow) {
        return None;
    }
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    let mut packed = vec![0; reader.output_buffer_size()?];
    // A broken file is decoded once more by the general reader, which says what is wrong with it.
    let line = reader.next_frame(&mut packed).ok()?.line_size;
    let bits = match depth {
        png::BitDepth::One => 1,
        png::BitDepth::Two => 2,
        png::BitDepth::Four => 4,
        _ => 8,
    };
    let per_byte = 8 / bits;
    let row = |row: &[u8]| -> Vec<u8> {
        let ids = row.iter().flat_map(|byte| {
            (0..per_byte).map(move |i| ((u16::from(*byte) >> (8 - bits * (i + 1))) & ((1 << bits) - 1)) as u8)
        });
        ids.take(width).collect()
    };
    let ids = packed.chunks_exact(line.max(1)).take(height).flat_map(row).collect();
    Some(Raster::new(Size { width, height }, ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(path: &Path, color: png::ColorType, depth: png::BitDepth, (width, height): (u32, u32), data: &[u8]) {
        let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == png::ColorType::Indexed {
            encoder.set_palette((0..=255u8).flat_map(|i| [i.wrapping_mul(3), 200, 255 - i]).collect::<Vec<u8>>());
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
    }

    #[test]
    fn ids_are_values_or_palette_indices_and_colours_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.png");
        for color in [png::ColorType::Grayscale, png::ColorType::Indexed] {
            png(&path, color, png::BitDepth::Eight, (3, 2), &[0, 1, 2, 8, 254, 255]);
            assert_eq!(read_mask(&path).unwrap().data(), [0, 1, 2, 8, 254, 255], "{color:?}");
            // Five pixels of four bits: the last half byte of a row is padding.
            png(&path, color, png::BitDepth::Four, (5, 2), &[0x01, 0x23, 0x4F, 0x56, 0x78, 0x9F]);
            assert_eq!(read_mask(&path).unwrap().data(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "{color:?}");
            png(&path, color, png::BitDepth::One, (9, 1), &[0b1010_0001, 0x80]);
            assert_eq!(read_mask(&path).unwrap().data(), [1, 0, 1, 0, 0, 0, 0, 1, 1], "{color:?}");
        }
        png(&path, png::ColorType::Grayscale, png::BitDepth::Sixteen, (2, 1), &[0, 7, 0, 255]);
        assert_eq!(read_mask(&path).unwrap().data(), [7, 255]);
        png(&path, png::ColorType::Grayscale, png::BitDepth::Sixteen, (2, 1), &[0, 7, 1, 0]);
        assert!(read_mask(&path).unwrap_err().to_string().contains("found the value 256"));
        png(&path, png::ColorType::Rgb, png::BitDepth::Eight, (2, 1), &[3, 3, 3, 5, 5, 5]);
        assert_eq!(read_mask(&path).unwrap().data(), [3, 5]);
        png(&path, png::ColorType::Rgb, png::BitDepth::Eight, (2, 1), &[3, 3, 3, 128, 0, 0]);
        let error = read_mask(&path).unwrap_err().to_string();
        assert!(error.contains("m.png") && error.contains("[128, 0, 0]"), "{error}");
        std::fs::write(&path, b"\x89PNG\r\n\x1a\n").unwrap();
        assert!(matches!(read_mask(&path), Err(ImageError::CutOff { .. })));
    }
}
