//! Boxes and labels painted into an RGB image in place. Everything is clipped at the borders; nothing is allocated.

use caf_geometry::Size;

use crate::font;

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// Colours that stay apart on gray images; a class takes the one at its index, modulo their number.
const PALETTE: [Rgb; 8] = [
    [255, 196, 0],
    [0, 214, 255],
    [255, 92, 138],
    [124, 252, 98],
    [196, 140, 255],
    [255, 140, 40],
    [80, 240, 190],
    [240, 240, 120],
];
const INK: Rgb = [0, 0, 0];

/// The colour of a class.
#[must_use]
pub fn class_colour(class: usize) -> Rgb {
    PALETTE.get(class % PALETTE.len()).copied().unwrap_or(INK)
}

/// The digits of a number, without memory of their own.
pub fn digits(number: u32) -> impl Iterator<Item = char> + Clone {
    let places = number.checked_ilog10().unwrap_or(0);
    (0..=places).rev().filter_map(move |place| char::from_digit(number / 10_u32.pow(place) % 10, 10))
}

/// An RGB image being painted: dense rows, three bytes a pixel.
#[derive(Debug)]
pub struct Canvas<'a> {
    rgb: &'a mut [u8],
    size: Size,
}

/// Half-open range of pixels `[from, to)` cut to `[0, limit)`.
fn clip(from: i64, to: i64, limit: usize) -> std::ops::Range<usize> {
    let cut = |v: i64| usize::try_from(v.max(0)).unwrap_or(usize::MAX).min(limit);
    let (from, to) = (cut(from), cut(to));
    from..to.max(from)
}

/// Nearest pixel edge; what is not a number lies at 0.
fn edge(v: f32) -> i64 {
    // Within this bound the arithmetic on edges cannot overflow.
    v.round().clamp(-1e9, 1e9) as i64
}

impl<'a> Canvas<'a> {
    /// `None` when `rgb` is not `width × height × 3` bytes.
    pub fn new(rgb: &'a mut [u8], size: Size) -> Option<Self> {
        (rgb.len() == size.pixels()?.checked_mul(3)?).then_some(Self { rgb, size })
    }

    /// Paints the pixels with `left ≤ x < right` and `top ≤ y < bottom`.
    pub fn fill(&mut self, left: i64, top: i64, right: i64, bottom: i64, colour: Rgb) {
        let (xs, ys) = (clip(left, right, self.size.width), clip(top, bottom, self.size.height));
        if xs.is_empty() {
            return;
        }
        for row in self.rgb.chunks_exact_mut(self.size.width * 3).take(ys.end).skip(ys.start) {
            if let Some(span) = row.get_mut(xs.start * 3..xs.end * 3) {
                span.as_chunks_mut().0.fill(colour);
            }
        }
    }

    /// A frame of `thickness` pixels just inside the box, in pixel edges (0 is the left edge of the first pixel).
    pub fn frame(&mut self, box_px: [f32; 4], thickness: i64, colour: Rgb) {
        let [left, top, right, bottom] = box_px.map(edge);
        if right <= left || bottom <= top {
            return;
        }
        let t = thickness.max(1).min(right - left).min(bottom - top);
        self.fill(left, top, right, top + t, colour);
        self.fill(left, bottom - t, right, bottom, colour);
        self.fill(left, top + t, left + t, bottom - t, colour);
        self.fill(right - t, top + t, right, bottom - t, colour);
    }

    /// Characters side by side, every font pixel a square of `scale` pixels; `left`, `top` is the first one's corner.
    pub fn text(&mut self, left: i64, top: i64, scale: i64, colour: Rgb, characters: impl Iterator<Item = char>) {
        let mut x = left;
        for character in characters {
            if x >= 0 && usize::try_from(x).is_ok_and(|x| x >= self.size.width) {
                return;
            }
            for (y, row) in (0_i64..).zip(font::glyph(character)) {
                for (column, bit) in (0_i64..).zip((0..font::WIDTH).rev()) {
                    if row >> bit & 1 == 1 {
                        let (l, t) = (x + column * scale, top + y * scale);
                        self.fill(l, t, l + scale, t + scale, colour);
                    }
                }
            }
            x += font::ADVANCE as i64 * scale;
        }
    }

    /// Pixels of the image for each pixel of the font.
    fn scale(&self) -> i64 {
        (self.size.height.min(self.size.width) / 480).max(1) as i64
    }

    /// Height of a plate with a label.
    #[must_use]
    pub fn plate_height(&self) -> i64 {
        (font::HEIGHT as i64 + 2) * self.scale()
    }

    /// Characters on a plate of a colour, moved to the left as far as the image ends.
    pub fn label(&mut self, left: i64, top: i64, colour: Rgb, characters: impl Iterator<Item = char> + Clone) {
        let (scale, length) = (self.scale(), characters.clone().count() as i64);
        let width = (length * font::ADVANCE as i64 + 1) * scale;
        let left = left.min(self.size.width as i64 - width).max(0);
        self.fill(left, top, left + width, top + self.plate_height(), colour);
        self.text(left + scale, top + scale, scale, INK, characters);
    }

    /// A box with `name` and its score in percent on a plate above it (inside it at the upper border).
    pub fn detection(&mut self, box_px: [f32; 4], class: usize, name: &str, score: f32) {
        let colour = class_colour(class);
        self.frame(box_px, self.scale(), colour);
        let percent = (score.clamp(0.0, 1.0) * 100.0).round() as u32;
        let [left, top, ..] = box_px.map(edge);
        let top = if top >= self.plate_height() { top - self.plate_height() } else { top.max(0) };
        self.label(left, top, colour, name.chars().chain([' ']).chain(digits(percent)).chain(['%']));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(width: usize, height: usize, paint: impl FnOnce(&mut Canvas<'_>)) -> Vec<String> {
        let mut rgb = vec![0; width * height * 3];
        paint(&mut Canvas::new(&mut rgb, Size { width, height }).unwrap());
        rgb.chunks_exact(width * 3)
            .map(|row| row.chunks_exact(3).map(|p| if p == [0; 3] { '.' } else { '#' }).collect())
            .collect()
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 7, 10, 100, 4096, u32::MAX] {
            assert_eq!(digits(number).collect::<String>(), number.to_string());
        }
    }

    #[test]
    fn a_frame_lies_inside_its_box() {
        let picture = painted(7, 5, |c| c.frame([1.0, 1.0, 6.0, 4.0], 1, [9; 3]));
        assert_eq!(picture, [".......", ".#####.", ".#...#.", ".#####.", "......."]);
    }

    #[test]
    fn what_reaches_out_is_clipped() {
        let picture = painted(4, 3, |c| c.frame([-5.0, -5.0, 2.0, 2.0], 1, [9; 3]));
        assert_eq!(picture, [".#..", "##..", "...."]);
        let huge = painted(4, 3, |c| c.frame([-1e30, -1e30, 1e30, 1e30], 2, [9; 3]));
        assert_eq!(huge, ["....", "....", "...."]);
        for bad in [[f32::NAN; 4], [f32::INFINITY; 4], [3.0, 2.0, 1.0, 0.0], [90.0, 90.0, 99.0, 99.0]] {
            assert_eq!(painted(4, 3, |c| c.frame(bad, 1, [9; 3])), ["....", "....", "...."]);
        }
    }

    #[test]
    fn a_label_is_cut_at_the_borders_and_never_wraps_or_panics() {
        for (width, height) in [(1, 1), (3, 2), (17, 9), (64, 48), (1301, 997)] {
            for corner in [-1e9, -3.0, 0.0, 1.5, 40.0, 1e9, f32::NAN] {
                let mut rgb = vec![0; width * height * 3];
                let mut canvas = Canvas::new(&mut rgb, Size { width, height }).unwrap();
                canvas.detection([corner, corner, corner + 5.0, corner + 5.0], 100, "traffic light é", f32::NAN);
                let (scale, plate, left) = (canvas.scale(), canvas.plate_height(), edge(corner));
                // Of the plate and the box nothing lies in another row, whatever of them is cut off.
                let top = if left >= plate { left - plate } else { left.max(0) };
                let rows = [top..top + plate, left..left + 5];
                let length = "traffic light é 0%".chars().count() as i64 * font::ADVANCE as i64;
                let plate_left = left.min(width as i64 - (length + 1) * scale).max(0);
                for (at, pixel) in rgb.chunks_exact(3).enumerate().filter(|(_, pixel)| *pixel != [0; 3]) {
                    let (x, y) = ((at % width) as i64, (at / width) as i64);
                    assert!(rows.iter().any(|rows| rows.contains(&y)), "{width}x{height} at {corner}: row {y}");
                    assert!(x >= plate_left.min(left.max(0)), "{width}x{height} at {corner}: column {x}, {pixel:?}");
                }
                // Whatever of the plate lies in the image is painted.
                let seen = rgb.chunks_exact(3).any(|pixel| pixel == class_colour(100));
                assert_eq!(seen, top < height as i64, "{width}x{height} at {corner}");
            }
        }
    }

    #[test]
    fn text_looks_like_its_glyphs() {
        let picture = painted(11, 7, |c| c.text(0, 0, 1, [9; 3], "A1".chars()));
        let expected =
            [".###....#..", "#...#..##..", "#...#...#..", "#####...#..", "#...#...#..", "#...#...#..", "#...#..###."];
        assert_eq!(picture, expected);
    }

    #[test]
    fn a_wrong_size_makes_no_canvas() {
        assert!(Canvas::new(&mut [0; 11], Size::new(2, 2)).is_none());
        assert!(Canvas::new(&mut [], Size::new(usize::MAX, 3)).is_none());
    }
}
