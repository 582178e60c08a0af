use std::f64::consts::PI;

use caf_geometry::Size;

use super::metric::Metric;
use super::planes::Triple;
use super::separable::Separable;
use crate::EvalError;

const WINDOW: usize = 11;
const PIXELS: f64 = (WINDOW * WINDOW) as f64;
const SIGMA: f64 = 1.5;
/// Exponents of the three levels, finest first; they add up to 1.
const LEVEL_WEIGHTS: [f64; 3] = [0.0448 / 0.6305, 0.2856 / 0.6305, 0.3001 / 0.6305];
/// The coarsest level halves twice and still needs one window.
const MIN_SIDE: usize = 4 * WINDOW;
/// `(0.03 · 255)²`.
const STABILISER: f64 = 58.5225;
const EPS: f64 = f64::EPSILON;
/// A combined patch whose squared norm is below this part of its parts' is their cancellation, not a structure.
const CANCELLED: f64 = 1e-14;

/// MS_SSIM: in every 11 × 11 window the sources' contrasts and structures make a wanted patch, with which the fused image
/// is compared; three levels. This is the measure of multi-exposure fusion, not Wang's MS-SSIM.
pub(super) const MS_SSIM: Metric =
    Metric::higher("MS_SSIM", "structural similarity of multi-exposure fusion", |t| Ok(ms_ssim(t)?.value()));

/// The factors of MS_SSIM, finest level first.
pub(super) const MS_SSIM_LEVELS: [Metric; 3] = [
    Metric::higher("MS_SSIM_scale1", "finest level of MS_SSIM", |t| Ok(ms_ssim(t)?.levels[0])),
    Metric::higher("MS_SSIM_scale2", "middle level of MS_SSIM", |t| Ok(ms_ssim(t)?.levels[1])),
    Metric::higher("MS_SSIM_scale3", "coarsest level of MS_SSIM", |t| Ok(ms_ssim(t)?.levels[2])),
];

/// The similarity at each level.
#[derive(Clone, Copy, Debug, PartialEq)]
struct MsSsim {
    /// Mean similarity of each level, finest first, in [-1, 1].
    levels: [f64; 3],
}

impl MsSsim {
    /// The metric: the weighted geometric mean of the levels. Negative when all three are; NaN when they differ in sign,
    /// since the power is then not real.
    fn value(&self) -> f64 {
        let magnitude: f64 = self.levels.iter().zip(LEVEL_WEIGHTS).map(|(l, w)| l.abs().powf(w)).product();
        if self.levels.iter().all(|&l| l >= 0.0) {
            magnitude
        } else if self.levels.iter().all(|&l| l <= 0.0) {
            -magnitude
        } else {
            f64::NAN
        }
    }
}

/// Refuses an image below 44 pixels on a side.
fn ms_ssim(triple: &Triple<'_>) -> Result<MsSsim, EvalError> {
    triple.fused().at_least("MS_SSIM", MIN_SIDE)?;
    Ok(*triple.shared(measure))
}

fn measure(triple: &Triple<'_>) -> MsSsim {
    let mut images = [triple.ir(), triple.vi(), triple.fused()].map(|g| g.to_f64());
    let mut size = triple.size();
    let mut levels = [0.0; 3];
    for (i, level) in levels.iter_mut().enumerate() {
        if i > 0 {
            images = images.map(|image| halve(&image, size));
            size = Size::new(size.width.div_ceil(2), size.height.div_ceil(2));
        }
        *level = level_similarity(&images, size);
    }
    MsSsim { levels }
}

/// Means of 2 × 2 pixels, the last row and column repeated where the size is odd.
fn halve(image: &[f64], Size { width: w, height: h }: Size) -> Vec<f64> {
    let mut out = Vec::with_capacity(h.div_ceil(2) * w.div_ceil(2));
    for y in (0..h).step_by(2) {
        let (upper, lower) = (&image[y * w..][..w], &image[(y + 1).min(h - 1) * w..][..w]);
        for x in (0..w).step_by(2) {
            let right = (x + 1).min(w - 1);
            out.push((upper[x] + lower[x] + upper[right] + lower[right]) / 4.0);
        }
    }
    out
}

/// Filtered products of pairs of images, by position.
struct Moments {
    means: [Vec<f64>; 3],
    /// Sources 0 and 1, fused 2: products 00, 11, 01, then 22, 02, 12 where asked for.
    products: Vec<Vec<f64>>,
}

fn moments(filter: &mut Separable, images: &[Vec<f64>; 3], size: Size, pairs: &[(usize, usize)]) -> Moments {
    let mut apply = |source: &dyn Fn(usize) -> f64| {
        let mut out = vec![];
        filter.apply(size, 1, source, &mut out);
        out
    };
    let means = [0, 1, 2].map(|k: usize| apply(&|i| images[k][i]));
    let products = pairs.iter().map(|&(a, b)| apply(&|i| images[a][i] * images[b][i])).collect();
    Moments { means, products }
}

fn level_similarity(images: &[Vec<f64>; 3], size: Size) -> f64 {
    const PAIRS: [(usize, usize); 6] = [(0, 0), (1, 1), (0, 1), (2, 2), (0, 2), (1, 2)];
    // Sums instead of means: pixels are multiples of 1/16 at most, so that the box moments are exact.
    let box_sums = moments(&mut Separable::ones(WINDOW), images, size, &PAIRS[..3]);
    let gauss = moments(&mut Separable::gaussian(WINDOW, SIGMA), images, size, &PAIRS);
    let positions = box_sums.means[0].len();
    let mut total = 0.0;
    for i in 0..positions {
        let inner = |pair: usize| {
            let (a, b) = PAIRS[pair];
            (PIXELS * box_sums.products[pair][i] - box_sums.means[a][i] * box_sums.means[b][i]) / PIXELS
        };
        let [a, b] = wanted_patch([inner(0).max(0.0), inner(1).max(0.0)], inner(2));
        let covariance = |pair: usize| {
            let (x, y) = PAIRS[pair];
            gauss.products[pair][i] - gauss.means[x][i] * gauss.means[y][i]
        };
        let wanted_var = a * a * covariance(0) + b * b * covariance(1) + 2.0 * a * b * covariance(2);
        let shared = a * covariance(4) + b * covariance(5);
        total += (2.0 * shared + STABILISER) / (wanted_var + covariance(3) + STABILISER);
    }
    total / positions as f64
}

/// Factors of the two sources' mean-free patches in the wanted patch, from the squared norms of those patches and their
/// inner product.
fn wanted_patch(squares: [f64; 2], inner: f64) -> [f64; 2] {
    let norms = squares.map(f64::sqrt);
    let contrasts = norms.map(|n| n + 0.001);
    // 1 when the structures agree, less when they cancel: agreeing ones are averaged, else the stronger one wins.
    let summed = (squares[0] + squares[1] + 2.0 * inner).max(0.0).sqrt();
    let agreement = ((summed + EPS) / (norms[0] + norms[1] + EPS)).clamp(EPS, 1.0 - EPS);
    let power = (PI * agreement / 2.0).tan().min(10.0);
    let weights = contrasts.map(|e| (e / WINDOW as f64).powf(power) + EPS);
    let weight_sum = weights[0] + weights[1];
    let factors = [0, 1].map(|k: usize| weights[k] / weight_sum / contrasts[k]);
    let parts = factors[0].powi(2) * squares[0] + factors[1].powi(2) * squares[1];
    let square = parts + 2.0 * factors[0] * factors[1] * inner;
    if square <= CANCELLED * parts || square <= 0.0 {
        return factors;
    }
    let stretch = contrasts[0].max(contrasts[1]) / square.sqrt();
    factors.map(|f| f * stretch)
}

#[cfg(test)]
mod tests {
    use super::super::planes::Gray;
    use super::*;

    #[test]
    fn equal_flat_and_small() {
        let size = Size::new(50, 45);
        let pixels: Vec<u8> = (0..45 * 50).map(|i| (i * 89 % 256) as u8).collect();
        let image = Gray::new(pixels.clone(), size).unwrap();
        let same = Triple::new(image.clone(), image.clone(), image.clone()).unwrap();
        assert!((ms_ssim(&same).unwrap().value() - 1.0).abs() < 1e-6);
        let flat = Gray::new(vec![80u8; 45 * 50], size).unwrap();
        let levels = ms_ssim(&Triple::new(image.clone(), image, flat).unwrap()).unwrap().levels;
        // Without variance of its own, a flat image is left with C / (var + C).
        assert!(levels.iter().all(|&q| q > 0.0 && q < 0.6), "{levels:?}");
        let small = Gray::new(&pixels[..43 * 50], Size::new(50, 43)).unwrap();
        assert!(ms_ssim(&Triple::new(small.clone(), small.clone(), small).unwrap()).is_err());
    }

    #[test]
    fn signs() {
        let w = |levels| MsSsim { levels }.value();
        assert!((w([-0.5; 3]) + 0.5).abs() < 1e-12);
        assert!(w([0.5, -0.5, 0.5]).is_nan());
    }
}
