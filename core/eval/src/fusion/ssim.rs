use super::planes::{Gray, Triple};
use super::separable::Separable;

const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;

/// SSIM: mean over both sources of the structural similarity with the fused image, in [-1, 1]. 11 × 11 Gaussian (σ 1.5),
/// borders replicated, mean over all pixels; `range` is L in `C1 = (0.01 L)²`, `C2 = (0.03 L)²`.
///
/// The sane range of 8-bit images is 255. Published tables often used 1 by accident: that is what the toolbox function
/// assumes for doubles.
pub fn ssim(triple: &Triple<'_>, range: f64) -> f64 {
    let mut filter = Separable::gaussian(WINDOW, SIGMA);
    let (fused, fused_centre, hw) = replicate(triple.fused());
    let mut moment = |source: &dyn Fn(usize) -> f64| {
        let mut out = vec![];
        filter.apply(hw, 1, source, &mut out);
        out
    };
    let (fused_mean, fused_square) = (moment(&|i| fused[i]), moment(&|i| fused[i] * fused[i]));
    let (c1, c2) = ((0.01 * range).powi(2), (0.03 * range).powi(2));
    let mut total = 0.0;
    for source in [triple.ir(), triple.vi()] {
        let (source, centre, _) = replicate(source);
        let (mean, square) = (moment(&|i| source[i]), moment(&|i| source[i] * source[i]));
        let product = moment(&|i| source[i] * fused[i]);
        let sum: f64 = (0..mean.len())
            .map(|i| {
                let (a, b) = (mean[i], fused_mean[i]);
                let (a_var, b_var, covariance) = (square[i] - a * a, fused_square[i] - b * b, product[i] - a * b);
                let (a, b) = (a + centre, b + fused_centre);
                (2.0 * a * b + c1) * (2.0 * covariance + c2) / ((a * a + b * b + c1) * (a_var + b_var + c2))
            })
            .sum();
        total += sum / mean.len() as f64;
    }
    total / 2.0
}

/// The image minus its centre, with half a window of repeated border on every side; the centre; the padded size.
fn replicate(image: Gray<'_>) -> (Vec<f64>, f64, (usize, usize)) {
    let ((h, w), half) = (image.size_hw(), WINDOW / 2);
    let (pixels, centre) = image.centred();
    let padded = (h + 2 * half, w + 2 * half);
    let inside = |i: usize, n: usize| i.saturating_sub(half).min(n - 1);
    let at = |i: usize| pixels[inside(i / padded.1, h) * w + inside(i % padded.1, w)];
    ((0..padded.0 * padded.1).map(at).collect(), centre, padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_images_are_one_at_any_size() {
        for (h, w) in [(1, 1), (3, 20), (30, 31)] {
            let pixels: Vec<u8> = (0..h * w).map(|i| (i * 53 % 256) as u8).collect();
            let g = Gray::new(&pixels, h, w).unwrap();
            assert!((ssim(&Triple::new(g, g, g).unwrap(), 255.0) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn an_inverted_image_is_far_from_its_source() {
        let pixels: Vec<u8> = (0..400).map(|i| (i * 89 % 256) as u8).collect();
        let inverse: Vec<u8> = pixels.iter().map(|v| 255 - v).collect();
        let (g, n) = (Gray::new(&pixels, 20, 20).unwrap(), Gray::new(&inverse, 20, 20).unwrap());
        assert!(ssim(&Triple::new(g, g, n).unwrap(), 255.0) < 0.0);
    }
}
