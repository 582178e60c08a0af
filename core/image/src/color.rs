//! Luma and colour: the float luma of the networks, and the exact 8-bit integer conversion of the published results.

use crate::error::ImageError;
use crate::raster::{Gray8, Plane, Raster, Rgb8};

/// Luma of one 8-bit pixel in \[0,1\]: each channel divided by 255, then `(0.299 r + 0.587 g) + 0.114 b` in `f32`,
/// without fused multiply-add. This order of operations reproduces the published network's input bit for bit.
#[must_use]
pub fn luma_of(rgb: [u8; 3]) -> f32 {
    let [r, g, b] = rgb.map(|v| f32::from(v) / 255.0);
    (0.299 * r + 0.587 * g) + 0.114 * b
}

/// The luma plane of a visible image, see [`luma_of`].
#[must_use]
pub fn luma(rgb: &Rgb8) -> Plane {
    let mut plane = Plane::like(rgb, 0.0);
    for (y, pixel) in plane.data_mut().iter_mut().zip(rgb.pixels()) {
        *y = luma_of(*pixel);
    }
    plane
}

/// 8-bit YCrCb (this order) of an RGB pixel in 14-bit fixed point; equal to OpenCV's 8-bit conversion.
#[must_use]
pub fn ycrcb8_from_rgb8(rgb: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = rgb.map(i32::from);
    let y = (4899 * r + 9617 * g + 1868 * b + 8192) >> 14;
    let cr = (11682 * (r - y) + 2_097_152 + 8192) >> 14;
    let cb = (9241 * (b - y) + 2_097_152 + 8192) >> 14;
    [saturate(y), saturate(cr), saturate(cb)]
}

/// RGB of an 8-bit YCrCb pixel (this order); the inverse direction of [`ycrcb8_from_rgb8`].
#[must_use]
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

/// How a fused plane becomes 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantize {
    /// Clamped to \[0,1\], times 255, rounded half to even; NaN becomes 0.
    #[default]
    ClampRound,
    /// As the published results: times 255, truncated towards zero, modulo 256, so that negative values wrap to bright.
    TruncateWrap,
}

impl Quantize {
    /// One value; see the variants for what happens outside \[0,1\].
    #[must_use]
    pub fn apply(self, value: f32) -> u8 {
        match self {
            Self::ClampRound => (value.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8,
            // Float to integer casts truncate and saturate; the second cast keeps the low eight bits, which is mod 256.
            Self::TruncateWrap => (value * 255.0) as i32 as u8,
        }
    }

    /// A whole plane.
    #[must_use]
    pub fn plane(self, plane: &Plane) -> Gray8 {
        let mut out = Gray8::like(plane, 0);
        for (o, &v) in out.data_mut().iter_mut().zip(plane.data()) {
            *o = self.apply(v);
        }
        out
    }
}

/// Colour for a fused 8-bit plane: the visible image's Cr and Cb with `luma` in the place of Y, in the exact integer
/// arithmetic of [`ycrcb8_from_rgb8`].
///
/// # Errors
/// [`ImageError::Shape`] when the two sizes differ.
pub fn recolour(luma: &Gray8, visible: &Rgb8) -> Result<Rgb8, ImageError> {
    if luma.size() != visible.size() {
        return Err(ImageError::Shape {
            what: "size of the plane to be coloured",
            expected: format!("{}, as the visible image", visible.size()),
            found: luma.size().to_string(),
        });
    }
    let mut out = Vec::with_capacity(visible.data().len());
    for (&y, &rgb) in luma.data().iter().zip(visible.pixels()) {
        let [_, cr, cb] = ycrcb8_from_rgb8(rgb);
        out.extend_from_slice(&rgb8_from_ycrcb8([y, cr, cb]));
    }
    Raster::new(visible.size(), out)
}

/// Whether every pixel has three equal channels.
#[must_use]
pub fn is_gray(rgb: &Rgb8) -> bool {
    rgb.pixels().all(|&[r, g, b]| r == g && g == b)
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
    fn quantizing_outside_the_range() {
        let clamp = Quantize::ClampRound;
        let wrap = Quantize::TruncateWrap;
        assert_eq!((clamp.apply(-0.1), clamp.apply(1.2), clamp.apply(f32::NAN)), (0, 255, 0));
        // 0.5 * 255 = 127.5, half to even.
        assert_eq!((clamp.apply(0.5), wrap.apply(0.5)), (128, 127));
        assert_eq!(wrap.apply(-20.35 / 255.0), 236);
        assert_eq!(wrap.apply(-0.5 / 255.0), 0);
    }

    #[test]
    fn recolouring_needs_equal_sizes_and_keeps_gray() {
        let visible = Rgb8::new(Size::new(2, 1), vec![9, 9, 9, 200, 200, 200]).unwrap();
        let fused = Gray8::new(Size::new(2, 1), vec![50, 60]).unwrap();
        assert_eq!(recolour(&fused, &visible).unwrap().data(), [50, 50, 50, 60, 60, 60]);
        assert!(recolour(&Gray8::filled(Size::new(1, 1), 0).unwrap(), &visible).is_err());
        assert!(is_gray(&visible));
        assert!(!is_gray(&Rgb8::new(Size::new(1, 1), vec![1, 2, 1]).unwrap()));
    }
}
