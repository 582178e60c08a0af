//! Between camera pixels and tensors.
//!
//! Bytes are laid out height, width, channel; floats are channel planes in [0, 1]. Every function writes into memory that
//! exists already.
//!
//! Sixteen bits and floats become a float in [0, 1] between the limits of the image ([`ImageView::limits`]), which are those that the network
//! was trained with, and eight bits as `round(255 · float)`. Colour becomes gray by the luma of BT.601, `0.299 R + 0.587 G + 0.114 B`.

use caf_contract::{Colour, IrSample as _};
use caf_geometry::Size;

use crate::frame::{FrameError, ImageView, PixelFormat};

/// Channels of an image of that colour; a tensor that is not an image has none.
#[must_use]
pub const fn channels(colour: Colour) -> usize {
    match colour {
        Colour::Gray => 1,
        Colour::Rgb => 3,
        Colour::None => 0,
    }
}

fn check(found: usize, size: Size, channels: usize) -> Result<(), FrameError> {
    let expected = size.width.saturating_mul(size.height).saturating_mul(channels);
    if expected == found && expected > 0 {
        return Ok(());
    }
    Err(FrameError::Tensor { size, channels, expected, found })
}

/// Eight bits of the full range, as [`caf_contract::IrLimits::unit`] gives them: `round(v · 255 / 65535)`; 65535 is 257 · 255,
/// and 128 is half of 257 rounded down.
const fn narrow(v: u16) -> u8 {
    ((v as u32 + 128) / 257) as u8
}

/// A byte as a share of 255.
fn unit(v: u8) -> f32 {
    f32::from(v) / 255.0
}

/// Luma in the range of its arguments.
fn luma([r, g, b]: [f32; 3]) -> f32 {
    (0.299 * r + 0.587 * g) + 0.114 * b
}

/// Luma of bytes, rounded to nearest, exactly; at most 255.
pub(crate) fn luma_byte(rgb: &[u8; 3]) -> u8 {
    let [r, g, b] = rgb.map(u32::from);
    ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8
}

/// Luma of bytes as a share of 65535, rounded to nearest.
pub(crate) fn luma_u16(rgb: &[u8; 3]) -> u16 {
    let [r, g, b] = rgb.map(u32::from);
    // At most 255 · 257 = 65535.
    (((299 * r + 587 * g + 114 * b) * 257 + 500) / 1000) as u16
}

/// `round(255 · v)` of a value cut to [0, 1], NaN taken as 0. Above 2²³ floats are whole numbers, so that the sum is rounded
/// and its low bits are the result: several times as fast as a cast that saturates.
pub(crate) fn byte(v: f32) -> u8 {
    let cut = if v > 0.0 { v.min(1.0) } else { 0.0 };
    (cut * 255.0 + 8_388_608.0).to_bits() as u8
}

/// Eight bits of each value of a row of 16-bit values.
fn row_bytes<'a>(image: &ImageView<'_>, row: &'a [u8]) -> impl Iterator<Item = u8> + use<'a> {
    let (full, limits) = (image.is_full_range(), image.limits());
    row.as_chunks().0.iter().map(move |v| {
        let v = u16::from_le_bytes(*v);
        if full { narrow(v) } else { u8::from_unit(limits.unit(f32::from(v))) }
    })
}

/// The values of a row of floats in [0, 1].
fn row_units<'a>(image: &ImageView<'_>, row: &'a [u8]) -> impl Iterator<Item = f32> + use<'a> {
    let limits = image.limits();
    row.as_chunks().0.iter().map(move |v| limits.unit(f32::from_le_bytes(*v)))
}

/// Fills a tensor of bytes, height × width × 1 or 3.
pub fn to_bytes(image: &ImageView<'_>, colour: Colour, out: &mut [u8]) -> Result<(), FrameError> {
    let (width, n) = (image.size().width, channels(colour));
    check(out.len(), image.size(), n)?;
    for (row, out) in image.rows().zip(out.chunks_exact_mut(width * n)) {
        match (image.format(), n) {
            (PixelFormat::Gray8, 1) | (PixelFormat::Rgb8, 3) => out.copy_from_slice(row),
            (PixelFormat::Gray8, _) => out.as_chunks_mut().0.iter_mut().zip(row).for_each(|(o, v)| *o = [*v; 3]),
            (PixelFormat::Gray16Le, 1) => {
                out.iter_mut().zip(row_bytes(image, row)).for_each(|(o, v)| *o = v);
            }
            (PixelFormat::Gray16Le, _) => {
                out.as_chunks_mut().0.iter_mut().zip(row_bytes(image, row)).for_each(|(o, v)| *o = [v; 3]);
            }
            (PixelFormat::GrayF32Le, _) => {
                out.chunks_exact_mut(n).zip(row_units(image, row)).for_each(|(o, v)| o.fill(u8::from_unit(v)));
            }
            (PixelFormat::Rgb8, _) => out.iter_mut().zip(row.as_chunks().0).for_each(|(o, rgb)| *o = luma_byte(rgb)),
        }
    }
    Ok(())
}

/// Fills a tensor of floats, 1 or 3 planes of height × width, values in [0, 1].
pub fn to_floats(image: &ImageView<'_>, colour: Colour, out: &mut [f32]) -> Result<(), FrameError> {
    let (width, height, n) = (image.size().width, image.size().height, channels(colour));
    check(out.len(), image.size(), n)?;
    let (first, others) = out.split_at_mut(width * height);
    if image.format() == PixelFormat::Rgb8 && n == 3 {
        let (second, third) = others.split_at_mut(width * height);
        let [reds, greens, blues] = [first, second, third].map(|plane| plane.chunks_exact_mut(width));
        for (row, ((red, green), blue)) in image.rows().zip(reds.zip(greens).zip(blues)) {
            let planes = red.iter_mut().zip(green).zip(blue);
            planes.zip(row.as_chunks().0).for_each(|(((r, g), b), rgb)| [*r, *g, *b] = rgb.map(unit));
        }
        return Ok(());
    }
    for (row, out) in image.rows().zip(first.chunks_exact_mut(width)) {
        match image.format() {
            PixelFormat::Gray8 => out.iter_mut().zip(row).for_each(|(o, v)| *o = unit(*v)),
            PixelFormat::Gray16Le => {
                let limits = image.limits();
                let wide = row.as_chunks().0.iter().map(|v| limits.unit(f32::from(u16::from_le_bytes(*v))));
                out.iter_mut().zip(wide).for_each(|(o, v)| *o = v);
            }
            PixelFormat::GrayF32Le => out.iter_mut().zip(row_units(image, row)).for_each(|(o, v)| *o = v),
            PixelFormat::Rgb8 => {
                let gray = row.as_chunks().0.iter().map(|rgb: &[u8; 3]| luma(rgb.map(unit)));
                out.iter_mut().zip(gray).for_each(|(o, v)| *o = v);
            }
        }
    }
    others.chunks_exact_mut(first.len()).for_each(|plane| plane.copy_from_slice(first));
    Ok(())
}

/// Copies a fused image of bytes to interleaved RGB; gray is repeated.
pub fn bytes_to_rgb(fused: &[u8], colour: Colour, rgb: &mut [u8]) -> Result<(), FrameError> {
    let n = channels(colour);
    let pixels = rgb.len() / 3;
    check(fused.len(), Size::new(pixels, 1), n)?;
    if n == 3 {
        rgb.copy_from_slice(fused);
    } else {
        rgb.as_chunks_mut().0.iter_mut().zip(fused).for_each(|(o, v)| *o = [*v; 3]);
    }
    Ok(())
}

/// Copies a fused image of float planes to interleaved RGB: clamped to [0, 1], then rounded; NaN becomes 0.
pub fn floats_to_rgb(fused: &[f32], colour: Colour, rgb: &mut [u8]) -> Result<(), FrameError> {
    let n = channels(colour);
    let pixels = rgb.len() / 3;
    check(fused.len(), Size::new(pixels, 1), n)?;
    let out = rgb.as_chunks_mut().0;
    if n == 1 {
        out.iter_mut().zip(fused).for_each(|(o, v)| *o = [byte(*v); 3]);
    } else {
        let (red, others) = fused.split_at(pixels);
        let (green, blue) = others.split_at(pixels);
        out.iter_mut().zip(red).zip(green).zip(blue).for_each(|(((o, r), g), b)| *o = [*r, *g, *b].map(byte));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3×2 RGB with rows 12 bytes apart; the padding is 255 and must not appear.
    fn colour_image() -> Vec<u8> {
        let mut data = vec![255; 12 + 9];
        for y in 0..2_u8 {
            for x in 0..3_u8 {
                let at = usize::from(y) * 12 + usize::from(x) * 3;
                data[at..at + 3].copy_from_slice(&[10 * x + y, 50 + 10 * x + y, 100 + 10 * x + y]);
            }
        }
        data
    }

    #[test]
    fn padded_rows_become_dense_tensors() {
        let data = colour_image();
        let view = ImageView::new(&data, Size::new(3, 2), 12, PixelFormat::Rgb8).unwrap();
        let mut bytes = [0; 18];
        to_bytes(&view, Colour::Rgb, &mut bytes).unwrap();
        assert_eq!(bytes[..9], data[..9]);
        assert_eq!(bytes[9..], data[12..21]);
        let mut planes = [0.0; 18];
        to_floats(&view, Colour::Rgb, &mut planes).unwrap();
        for (i, value) in planes.iter().enumerate() {
            let (channel, pixel) = (i / 6, i % 6);
            assert_eq!(*value, f32::from(bytes[pixel * 3 + channel]) / 255.0);
        }
        let mut back = [0; 18];
        floats_to_rgb(&planes, Colour::Rgb, &mut back).unwrap();
        assert_eq!(back, bytes);
        let mut gray = [0; 6];
        to_bytes(&view, Colour::Gray, &mut gray).unwrap();
        // 0.299·0 + 0.587·50 + 0.114·100 = 40.75.
        assert_eq!(gray[0], 41);
    }

    #[test]
    fn sixteen_bits_keep_their_full_range() {
        let wide: Vec<u8> = [0_u16, 128, 129, 32768, 65534, 65535].iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = ImageView::new(&wide, Size::new(3, 2), 6, PixelFormat::Gray16Le).unwrap();
        let mut bytes = [0; 6];
        to_bytes(&view, Colour::Gray, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 0, 1, 128, 255, 255]);
        let mut floats = [0.0; 6];
        to_floats(&view, Colour::Gray, &mut floats).unwrap();
        assert_eq!((floats[0], floats[5]), (0.0, 1.0));
        let full = caf_contract::IrRange::Full.fixed().unwrap();
        for v in 0..=u16::MAX {
            assert_eq!(narrow(v), (f64::from(v) * 255.0 / 65535.0).round() as u8);
            assert_eq!(narrow(v), u8::from_unit(full.unit(f32::from(v))));
        }
    }

    #[test]
    fn sixteen_bits_lie_between_the_limits_of_their_image() {
        let wide: Vec<u8> = [0_u16, 7000, 7500, 8000, 9000, 65535].iter().flat_map(|v| v.to_le_bytes()).collect();
        let limits = caf_contract::IrLimits { low: 7000.0, high: 8000.0 };
        let view = ImageView::new(&wide, Size::new(3, 2), 6, PixelFormat::Gray16Le).unwrap().with_limits(limits);
        let (mut bytes, mut colours, mut floats) = ([0; 6], [0; 18], [0.0; 6]);
        to_bytes(&view, Colour::Gray, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 0, 128, 255, 255, 255]);
        to_bytes(&view, Colour::Rgb, &mut colours).unwrap();
        assert!(colours.as_chunks::<3>().0.iter().zip(bytes).all(|(c, b)| *c == [b; 3]));
        to_floats(&view, Colour::Gray, &mut floats).unwrap();
        assert_eq!(floats, [0.0, 0.0, 0.5, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn gray_is_repeated_where_colour_is_wanted() {
        let view = ImageView::new(&[1, 2, 9, 3, 4], Size::new(2, 2), 3, PixelFormat::Gray8).unwrap();
        let mut bytes = [0; 12];
        to_bytes(&view, Colour::Rgb, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
        let mut rgb = [0; 12];
        bytes_to_rgb(&[1, 2, 3, 4], Colour::Gray, &mut rgb).unwrap();
        assert_eq!(rgb, bytes);
    }

    #[test]
    fn values_out_of_range_are_clamped_and_wrong_sizes_refused() {
        let mut rgb = [9; 12];
        floats_to_rgb(&[-1.0, 2.0, f32::NAN, 0.5], Colour::Gray, &mut rgb).unwrap();
        assert_eq!(rgb, [0, 0, 0, 255, 255, 255, 0, 0, 0, 128, 128, 128]);
        for level in 0..=255_u8 {
            // On a level and just short of half way to its neighbours.
            for near in [0.0, 0.499, -0.499] {
                let v = ((f64::from(level) + near) / 255.0) as f32;
                floats_to_rgb(&[v; 4], Colour::Gray, &mut rgb).unwrap();
                assert_eq!(rgb, [level; 12], "{v}");
            }
        }
        floats_to_rgb(&[f32::INFINITY, f32::NEG_INFINITY, 1e-40, -0.0], Colour::Gray, &mut rgb).unwrap();
        assert_eq!(rgb, [255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(floats_to_rgb(&[0.0; 3], Colour::Gray, &mut rgb).is_err());
        let view = ImageView::new(&[0; 4], Size::new(2, 2), 2, PixelFormat::Gray8).unwrap();
        assert!(matches!(
            to_bytes(&view, Colour::Gray, &mut [0; 5]),
            Err(FrameError::Tensor { expected: 4, found: 5, .. })
        ));
        assert!(to_bytes(&view, Colour::None, &mut []).is_err());
    }
}
