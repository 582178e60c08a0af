//! The first frames of a thermal camera: until its sensor has been read and corrected once, it delivers images of a single value.

use crate::frame::ImageView;

/// What lasts longer is no beginning: such frames are handed on, and show that the camera sees nothing.
const LONGEST_NS: i64 = 5_000_000_000;

/// Knows whether a camera has begun to see.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settling {
    since_ns: Option<i64>,
    is_over: bool,
}

impl Settling {
    /// True of an image of a single value before the first one that has two, for at most five seconds. Looks at the pixels up to the first one
    /// that differs, and at none once the camera sees.
    pub fn passes_over(&mut self, image: &ImageView<'_>, now_ns: i64) -> bool {
        if self.is_over {
            return false;
        }
        let since = *self.since_ns.get_or_insert(now_ns);
        self.is_over = !is_blank(image) || now_ns.saturating_sub(since) >= LONGEST_NS;
        !self.is_over
    }
}

/// Whether all pixels are the same.
fn is_blank(image: &ImageView<'_>) -> bool {
    let bytes = image.format().bytes();
    let mut pixels = image.rows().flat_map(|row| row.chunks_exact(bytes));
    let first = pixels.next();
    pixels.all(|pixel| Some(pixel) == first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;
    use caf_geometry::Size;

    fn passes_over(settling: &mut Settling, values: [u16; 4], now_ns: i64) -> bool {
        let mut data: Vec<u8> = values[..2].iter().flat_map(|v| v.to_le_bytes()).collect();
        // What lies between rows is no part of the image.
        data.extend([1, 2, 3]);
        data.extend(values[2..].iter().flat_map(|v| v.to_le_bytes()));
        let image = ImageView::new(&data, Size::new(2, 2), 7, PixelFormat::Gray16Le).unwrap();
        settling.passes_over(&image, now_ns)
    }

    #[test]
    fn blank_images_are_passed_over_at_the_beginning_only() {
        let mut settling = Settling::default();
        assert!(passes_over(&mut settling, [0x0101; 4], 0));
        assert!(passes_over(&mut settling, [0; 4], LONGEST_NS - 1));
        // The high byte alone is enough.
        assert!(!passes_over(&mut settling, [7, 7, 7, 0x0107], LONGEST_NS - 1));
        assert!(!passes_over(&mut settling, [0; 4], LONGEST_NS - 1), "it has seen something");
    }

    #[test]
    fn a_camera_that_never_sees_anything_is_handed_on() {
        let mut settling = Settling::default();
        assert!(passes_over(&mut settling, [9; 4], 7));
        assert!(!passes_over(&mut settling, [9; 4], 7 + LONGEST_NS));
        assert!(!passes_over(&mut settling, [9; 4], 8));
    }
}
