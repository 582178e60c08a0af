//! The float luma of the networks, and floats as 8 bits.

use crate::raster::{Gray8, Plane, Rgb8};

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

/// A value in \[0,1\] as 8 bits: clamped, times 255, rounded half to even; NaN becomes 0.
#[must_use]
pub fn quantize(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8
}

/// A whole plane, see [`quantize`].
#[must_use]
pub fn quantized(plane: &Plane) -> Gray8 {
    let mut out = Gray8::like(plane, 0);
    for (o, &v) in out.data_mut().iter_mut().zip(plane.data()) {
        *o = quantize(v);
    }
    out
}

/// Whether every pixel has three equal channels.
#[must_use]
pub fn is_gray(rgb: &Rgb8) -> bool {
    rgb.pixels().all(|&[r, g, b]| r == g && g == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantizing_outside_the_range() {
        assert_eq!((quantize(-0.1), quantize(1.2), quantize(f32::NAN)), (0, 255, 0));
        // 0.5 * 255 = 127.5, half to even.
        assert_eq!(quantize(0.5), 128);
    }
}
