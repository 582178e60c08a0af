//! What is worth a closer look: the part of a pair that methods show most differently.

use caf_geometry::Size;
use caf_image::{ImageError, Rgb8};

/// A part has this share of the image's sides, and is shown enlarged so many times.
const SHARE: usize = 4;
/// Its outline.
const OUTLINE: [u8; 3] = [230, 30, 30];
const OUTLINE_PX: usize = 2;

/// A part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    left: usize,
    top: usize,
    size: Size,
}

impl Part {
    /// The part in which images of one size differ most: by the sum, over its pixels, of the range of their green. Steps of half
    /// its sides; of equal ones the first.
    pub(super) fn of(images: &[Rgb8], size: Size) -> Self {
        let part = Size::new((size.width / SHARE).max(1), (size.height / SHARE).max(1));
        let range = |i: usize| {
            let greens = images.iter().filter_map(|image| image.data().get(3 * i + 1).copied());
            let (low, high) = greens.fold((u8::MAX, 0), |(low, high), v| (low.min(v), high.max(v)));
            u64::from(high.saturating_sub(low))
        };
        let ranges: Vec<u64> = (0..size.width * size.height).map(range).collect();
        let starts = |side: usize, part: usize| (0..=side - part).step_by((part / 2).max(1));
        let mut best = (0, Part { left: 0, top: 0, size: part });
        for top in starts(size.height, part.height) {
            for left in starts(size.width, part.width) {
                let rows = ranges.chunks_exact(size.width).skip(top).take(part.height);
                let sum: u64 = rows.flat_map(|row| row.iter().skip(left).take(part.width)).sum();
                if sum > best.0 {
                    best = (sum, Part { left, top, size: part });
                }
            }
        }
        best.1
    }

    /// The image with the part outlined, and the part enlarged.
    ///
    /// # Errors
    /// Never, for an image that the part lies in.
    pub(super) fn shown(&self, image: &Rgb8) -> Result<[Rgb8; 2], ImageError> {
        let Part { left, top, size } = *self;
        let mut outlined = image.clone();
        let width = image.width();
        let is_edge = |at: usize, from: usize, side: usize| at < from + OUTLINE_PX || at + OUTLINE_PX >= from + side;
        for (i, pixel) in outlined.data_mut().chunks_exact_mut(3).enumerate() {
            let (x, y) = (i % width, i / width);
            let is_inside = (left..left + size.width).contains(&x) && (top..top + size.height).contains(&y);
            if is_inside && (is_edge(x, left, size.width) || is_edge(y, top, size.height)) {
                pixel.copy_from_slice(&OUTLINE);
            }
        }
        let enlarged = Size::new(size.width * SHARE, size.height * SHARE);
        let source = |i: usize| {
            let (x, y) = (i % enlarged.width / SHARE, i / enlarged.width / SHARE);
            image.pixel(left + x, top + y).unwrap_or_default()
        };
        let enlarged = Rgb8::new(enlarged, (0..enlarged.width * enlarged.height).flat_map(source).collect())?;
        Ok([outlined, enlarged])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_lies_where_images_differ_and_is_shown_pixel_by_pixel() {
        let size = Size::new(42, 33);
        let same = Rgb8::filled(size, 90).unwrap();
        let mut other = same.clone();
        for (x, y) in [(30, 20), (31, 20), (32, 21)] {
            other.data_mut()[3 * (y * 42 + x)..][..3].copy_from_slice(&[200, 201, 202]);
        }
        let part = Part::of(&[same.clone(), other.clone()], size);
        assert_eq!(part.size, Size::new(10, 8));
        assert!((part.left..part.left + 10).contains(&30) && (part.left..part.left + 10).contains(&32), "{part:?}");
        assert!((part.top..part.top + 8).contains(&20) && (part.top..part.top + 8).contains(&21), "{part:?}");
        let [outlined, enlarged] = part.shown(&other).unwrap();
        assert_eq!((outlined.size(), enlarged.size()), (size, Size::new(40, 32)));
        let (x, y) = (4 * (30 - part.left), 4 * (20 - part.top));
        for (dx, dy) in [(0, 0), (3, 3), (7, 0)] {
            assert_eq!(enlarged.pixel(x + dx, y + dy), Some([200, 201, 202]));
        }
        assert_eq!(enlarged.pixel(x + 8, y), Some([90; 3]));
        let red = outlined.pixels().filter(|pixel| **pixel == OUTLINE).count();
        assert_eq!(red, 2 * 10 * 2 + 2 * 4 * 2);
        assert_eq!(Part::of(&[same.clone(), same], size), Part { left: 0, top: 0, size: Size::new(10, 8) });
        for [width, height] in [[1, 1], [2, 9], [5, 3]] {
            let image = Rgb8::filled(Size::new(width, height), 1).unwrap();
            let part = Part::of(std::slice::from_ref(&image), image.size());
            part.shown(&image).unwrap();
        }
    }
}
