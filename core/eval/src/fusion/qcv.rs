use caf_geometry::Size;

use super::metric::Metric;
use super::planes::{Gray, Triple};
use super::spectrum::Spectrum;
use super::stretch::Stretched;

/// Qcv of `vifb` (Chen and Varshney): the difference to the sources as an eye sees it, weighted by their edges; at least 0. Undefined
/// (NaN) when an image is constant and not black, or when no source has an edge.
pub(super) const QCV: Metric =
    Metric::lower("Qcv", "visible difference to the sources, weighted by their edges", |t| Ok(qcv(t)));

/// Side of the blocks, in pixels.
const BLOCK_PX: usize = 16;
/// Exponent of the gradient in a block's weight.
const SALIENCY: i32 = 5;

/// Weight of every block.
struct Saliency(Vec<f64>);

fn qcv(triple: &Triple<'_>) -> f64 {
    let fused = triple.fused().shared(Stretched::of);
    let spectrum = Spectrum::new(triple.size());
    let (mut seen, mut total) = (0.0, 0.0);
    for source in triple.sources() {
        let levels = source.shared(Stretched::of);
        if !(levels.defined && fused.defined) {
            return f64::NAN;
        }
        let saliency = source.shared(Saliency::of);
        let difference: Vec<f64> =
            levels.or_zero.iter().zip(&fused.or_zero).map(|(&s, &f)| f64::from(s) - f64::from(f)).collect();
        let blocks =
            squares_by_block(&spectrum.filter(&difference, |fx, fy| sensitivity(triple.size(), fx, fy)), triple.size());
        seen += saliency.0.iter().zip(blocks).map(|(weight, square)| weight * square).sum::<f64>();
        total += saliency.0.iter().sum::<f64>();
    }
    seen / total
}

/// Contrast sensitivity of the eye.
fn sensitivity(size: Size, fx: f64, fy: f64) -> f64 {
    let r = (size.width as f64 / 8.0 * fx).hypot(size.height as f64 / 8.0 * fy);
    2.6 * (0.0192 + 0.144 * r) * (-(0.144 * r).powf(1.1)).exp()
}

impl Saliency {
    /// Sums over blocks of the fifth power of the Sobel gradient, zeros around the image.
    fn of(image: &Gray<'_>) -> Self {
        let size = image.size();
        let Size { width: w, height: h } = size;
        let padded_w = w + 2;
        let mut padded = vec![0i32; (h + 2) * padded_w];
        let stretched = image.shared(Stretched::of);
        for (row, to) in stretched.or_zero.chunks_exact(w).zip(padded.chunks_exact_mut(padded_w).skip(1)) {
            for (&v, to) in row.iter().zip(&mut to[1..]) {
                *to = i32::from(v);
            }
        }
        let power = |x: usize, y: usize| {
            let at = |dx: usize, dy: usize| padded[(y + dy) * padded_w + x + dx];
            let column = |dx: usize| at(dx, 0) + 2 * at(dx, 1) + at(dx, 2);
            let row = |dy: usize| at(0, dy) + 2 * at(1, dy) + at(2, dy);
            let (gx, gy) = (column(2) - column(0), row(2) - row(0));
            f64::from(gx * gx + gy * gy).sqrt().powi(SALIENCY)
        };
        Self(by_block(size, power))
    }
}

/// Mean square of every block. Blocks that reach over the far sides are filled up with zeros, which count in the mean.
fn squares_by_block(image: &[f64], size: Size) -> Vec<f64> {
    let sums = by_block(size, |x, y| image[y * size.width + x].powi(2));
    sums.into_iter().map(|sum| sum / (BLOCK_PX * BLOCK_PX) as f64).collect()
}

/// Sums of `value(x, y)` over the blocks, row by row.
fn by_block(size: Size, value: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let across = size.width.div_ceil(BLOCK_PX);
    let mut sums = vec![0.0; across * size.height.div_ceil(BLOCK_PX)];
    for y in 0..size.height {
        for x in 0..size.width {
            sums[y / BLOCK_PX * across + x / BLOCK_PX] += value(x, y);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_is_zero_and_blocks_reach_over_the_sides() {
        let size = Size::new(40, 30);
        let image = Gray::new((0..1200).map(|i| (i * 89 % 256) as u8).collect::<Vec<_>>(), size).unwrap();
        let flat = Gray::new(vec![9; 1200], size).unwrap();
        let of = |f: &Gray<'static>| qcv(&Triple::new(image.clone(), image.clone(), f.clone()).unwrap());
        assert_eq!(of(&image), 0.0);
        assert!(of(&flat).is_nan());
        assert_eq!(by_block(size, |_, _| 1.0), [256.0, 256.0, 128.0, 224.0, 224.0, 112.0]);
    }
}
