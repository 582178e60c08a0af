//! How the published images of the CAF network were made from its raw outputs: 8-bit integer colour, values wrapped instead of clamped.

use caf_image::{Gray8, Plane, Rgb8};

/// 8-bit YCrCb (this order) of an RGB pixel in 14-bit fixed point; equal to OpenCV's 8-bit conversion.
pub fn ycrcb8_from_rgb8(rgb: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = rgb.map(i32::from);
    let y = (4899 * r + 9617 * g + 1868 * b + 8192) >> 14;
    let cr = (11682 * (r - y) + 2_097_152 + 8192) >> 14;
    let cb = (9241 * (b - y) + 2_097_152 + 8192) >> 14;
    [saturate(y), saturate(cr), saturate(cb)]
}

/// RGB of an 8-bit YCrCb pixel (this order); the inverse direction of [`ycrcb8_from_rgb8`].
pub fn rgb8_from_ycrcb8(ycrcb: [u8; 3]) -> [u8; 3] {
    let [y, cr, cb] = ycrcb.map(i32::from);
    let (cr, cb) = (cr - 128, cb - 128);
    let r = y + ((22987 * cr + 8192) >> 14);
    let g = y + ((-5636 * cb - 11698 * cr + 8192) >> 14);
    let b = y + ((29049 * cb + 8192) >> 14);
    [saturate(r), saturate(g), saturate(b)]
}

fn saturate(value: i32) -> u8 {
    // Clamped first, so the cast keeps the value.
    value.clamp(0, 255) as u8
}

/// A raw output as 8 bits: times 255, truncated towards zero, modulo 256, so that negative values wrap to bright.
pub fn wrapped(plane: &Plane) -> Gray8 {
    // Float to integer casts truncate and saturate; the second cast keeps the low eight bits, which is mod 256.
    Gray8::new(plane.size(), plane.data().iter().map(|v| (v * 255.0) as i32 as u8).collect()).unwrap()
}

/// Colour for a fused 8-bit plane: the visible image's Cr and Cb with `luma` in the place of Y, in the exact integer arithmetic of
/// [`ycrcb8_from_rgb8`].
pub fn recolour(luma: &Gray8, visible: &Rgb8) -> Rgb8 {
    assert_eq!(luma.size(), visible.size());
    let recoloured = |(&y, &rgb): (&u8, &[u8; 3])| {
        let [_, cr, cb] = ycrcb8_from_rgb8(rgb);
        rgb8_from_ycrcb8([y, cr, cb])
    };
    Rgb8::new(visible.size(), luma.data().iter().zip(visible.pixels()).flat_map(recoloured).collect()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_geometry::Size;

    #[test]
    fn integer_gray_is_kept_and_colours_come_back_within_rounding() {
        for v in 0..=255u8 {
            assert_eq!(ycrcb8_from_rgb8([v; 3]), [v, 128, 128]);
            assert_eq!(rgb8_from_ycrcb8([v, 128, 128]), [v; 3]);
        }
        for rgb in [[255, 0, 0], [0, 255, 0], [0, 0, 255], [12, 200, 99]] {
            let back = rgb8_from_ycrcb8(ycrcb8_from_rgb8(rgb));
            assert!(rgb.iter().zip(back).all(|(&a, b)| a.abs_diff(b) <= 2), "{rgb:?} {back:?}");
        }
    }

    #[test]
    fn values_outside_the_range_wrap() {
        let raw = Plane::new(Size::new(3, 1), vec![0.5, -20.35 / 255.0, -0.5 / 255.0]).unwrap();
        assert_eq!(wrapped(&raw).data(), [127, 236, 0]);
    }
}
