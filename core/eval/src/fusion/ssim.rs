//! Structural similarity of the fused image with each source, in the forms of the three profiles.

use std::marker::PhantomData;

use caf_geometry::Size;

use super::metric::Metric;
use super::planes::{Gray, Triple};
use super::separable::Separable;
use crate::EvalError;

/// SSIM of `linfeng` with the range of 8-bit images: mean over both sources, in [-1, 1].
pub(super) const SSIM_L255: Metric =
    Metric::higher("SSIM_L255", "structural similarity, mean over the sources", |t| mean::<Replicated>(t, 255.0));

/// The same with the range 1 that many published tables used by accident: that is what the toolbox function assumes for doubles.
pub(super) const SSIM_L1: Metric =
    Metric::higher("SSIM_L1", "SSIM with the range 1 that many tables used by accident", |t| {
        mean::<Replicated>(t, 1.0)
    });

/// Ssim of `vifb`: the sum over both sources, in [-2, 2].
pub(super) const SSIM_VALID: Metric =
    Metric::higher("Ssim", "structural similarity, sum over the sources", |t| sum::<Valid>(t, 255.0));

/// SSIM of `cddfuse`: the sum over both sources, with the range 2 that its library assumes for floats.
pub(super) const SSIM_UNIFORM: Metric =
    Metric::higher("SSIM", "structural similarity with the range 2, sum over the sources", |t| sum::<Uniform>(t, 2.0));

/// A form of the windows.
trait Form: 'static {
    /// Side of the window.
    const SIDE: usize;
    /// Whether the border is repeated outwards, so that every pixel has a window; otherwise only whole windows count.
    const REPLICATED: bool;
    /// What the sum over a window is divided by.
    const WEIGHT: f64 = 1.0;
    /// Factor of the variances.
    const BESSEL: f64 = 1.0;

    fn window() -> Separable {
        Separable::gaussian(Self::SIDE, 1.5)
    }
}

/// 11 × 11 Gaussian, border repeated.
struct Replicated;
/// 11 × 11 Gaussian, whole windows.
struct Valid;
/// 7 × 7, all weights equal, whole windows, sample covariances.
struct Uniform;

impl Form for Replicated {
    const SIDE: usize = 11;
    const REPLICATED: bool = true;
}

impl Form for Valid {
    const SIDE: usize = 11;
    const REPLICATED: bool = false;
}

impl Form for Uniform {
    const SIDE: usize = 7;
    const REPLICATED: bool = false;
    const WEIGHT: f64 = 49.0;
    const BESSEL: f64 = 49.0 / 48.0;

    fn window() -> Separable {
        Separable::ones(Self::SIDE)
    }
}

/// Means and mean squares of an image in every window, less its centre.
struct Moments<F> {
    pixels: Vec<f64>,
    size: Size,
    centre: f64,
    mean: Vec<f64>,
    square: Vec<f64>,
    form: PhantomData<F>,
}

impl<F: Form> Moments<F> {
    fn of(image: &Gray<'_>) -> Self {
        let (mut pixels, centre) = image.centred();
        let mut size = image.size();
        if F::REPLICATED {
            (pixels, size) = replicate(&pixels, size, F::SIDE / 2);
        }
        let (mean, square) = (filtered::<F>(size, |i| pixels[i]), filtered::<F>(size, |i| pixels[i] * pixels[i]));
        Self { pixels, size, centre, mean, square, form: PhantomData }
    }
}

fn filtered<F: Form>(size: Size, source: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut out = vec![];
    F::window().apply(size, 1, source, &mut out);
    if F::WEIGHT != 1.0 {
        out.iter_mut().for_each(|v| *v /= F::WEIGHT);
    }
    out
}

/// The image with `half` pixels of repeated border on every side.
fn replicate(pixels: &[f64], size: Size, half: usize) -> (Vec<f64>, Size) {
    let padded = Size::new(size.width + 2 * half, size.height + 2 * half);
    let inside = |i: usize, n: usize| i.saturating_sub(half).min(n - 1);
    let at =
        |i: usize| pixels[inside(i / padded.width, size.height) * size.width + inside(i % padded.width, size.width)];
    ((0..padded.width * padded.height).map(at).collect(), padded)
}

fn mean<F: Form>(triple: &Triple<'_>, range: f64) -> Result<f64, EvalError> {
    Ok(sum::<F>(triple, range)? / 2.0)
}

/// Similarity with infrared plus that with visible; `range` is L in `C1 = (0.01 L)²`, `C2 = (0.03 L)²`.
fn sum<F: Form>(triple: &Triple<'_>, range: f64) -> Result<f64, EvalError> {
    if !F::REPLICATED {
        triple.fused().at_least("SSIM", F::SIDE)?;
    }
    let fused = triple.fused().shared(Moments::<F>::of);
    Ok(triple.sources().map(|source| similarity(&source.shared(Moments::<F>::of), &fused, range)).iter().sum())
}

fn similarity<F: Form>(source: &Moments<F>, fused: &Moments<F>, range: f64) -> f64 {
    let product = filtered::<F>(source.size, |i| source.pixels[i] * fused.pixels[i]);
    let (c1, c2) = ((0.01 * range).powi(2), (0.03 * range).powi(2));
    let sum: f64 = (0..product.len())
        .map(|i| {
            let (a, b) = (source.mean[i], fused.mean[i]);
            let a_var = F::BESSEL * (source.square[i] - a * a);
            let b_var = F::BESSEL * (fused.square[i] - b * b);
            let covariance = F::BESSEL * (product[i] - a * b);
            let (a, b) = (a + source.centre, b + fused.centre);
            (2.0 * a * b + c1) * (2.0 * covariance + c2) / ((a * a + b * b + c1) * (a_var + b_var + c2))
        })
        .sum();
    sum / product.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triple(pixels: impl Fn(usize) -> u8, fused: impl Fn(usize) -> u8, size: Size) -> [Triple<'static>; 1] {
        let n = size.width * size.height;
        let source = Gray::new((0..n).map(pixels).collect::<Vec<_>>(), size).unwrap();
        let fused = Gray::new((0..n).map(fused).collect::<Vec<_>>(), size).unwrap();
        [Triple::new(source.clone(), source, fused).unwrap()]
    }

    #[test]
    fn equal_images_are_one_a_source_at_any_size_the_form_allows() {
        for (size, whole) in
            [(Size::new(1, 1), 1), (Size::new(20, 3), 1), (Size::new(31, 7), 7), (Size::new(31, 30), 11)]
        {
            let t = triple(|i| (i * 53 % 256) as u8, |i| (i * 53 % 256) as u8, size);
            assert!((SSIM_L255.of(&t).unwrap() - 1.0).abs() < 1e-12);
            for (metric, side) in [(SSIM_UNIFORM, 7), (SSIM_VALID, 11)] {
                match metric.of(&t) {
                    Ok(value) => assert!(whole >= side && (value - 2.0).abs() < 1e-9, "{value}"),
                    Err(error) => assert!(whole < side, "{error}"),
                }
            }
        }
    }

    #[test]
    fn an_inverted_image_is_far_from_its_source() {
        let t = triple(|i| (i * 89 % 256) as u8, |i| 255 - (i * 89 % 256) as u8, Size::new(20, 20));
        for metric in [SSIM_L255, SSIM_VALID, SSIM_UNIFORM] {
            assert!(metric.of(&t).unwrap() < 0.0, "{}", metric.name());
        }
    }
}
