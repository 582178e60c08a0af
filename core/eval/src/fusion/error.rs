//! Errors between the fused image and its sources, and the signal-to-noise ratios made of them.

use super::metric::Metric;
use super::planes::{Gray, Triple};

/// MSE of `linfeng`: mean over both sources, on pixel values in [0, 1].
pub(super) const MSE: Metric =
    Metric::lower("MSE", "mean squared error against the sources, values in [0, 1]", |t| Ok(mse(t) / (255.0 * 255.0)));

/// PSNR of `linfeng` in decibels; infinite when all three images are equal. The published code sets the peak to 255 while its MSE
/// is on [0, 1], so the value is 48.13 dB above the usual one.
pub(super) const PSNR: Metric =
    Metric::higher("PSNR", "peak signal-to-noise ratio, dB (48.13 above the usual one)", |t| {
        Ok(20.0 * (255.0 / (mse(t) / (255.0 * 255.0)).sqrt()).log10())
    });

/// Rmse of `vifb`: the root of the sum of squares, not of the mean, divided by the number of pixels.
pub(super) const RMSE: Metric =
    Metric::lower("Rmse", "norm of the difference to the sources over the number of pixels", |t| Ok(rmse(t)));

/// Psnr of `vifb`, from its Rmse in place of a squared error.
pub(super) const PSNR_OF_RMSE: Metric =
    Metric::higher("Psnr", "ratio of the peak to Rmse, dB", |t| Ok(20.0 * (255.0 / rmse(t).sqrt()).log10()));

/// MSE of `cddfuse`: on pixel values from 0 to 255.
pub(super) const MSE_OF_LEVELS: Metric =
    Metric::lower("MSE", "mean squared error against the sources, values 0–255", |t| Ok(mse(t)));

/// PSNR of `cddfuse` in decibels: the peak is the largest value of the fused image.
pub(super) const PSNR_OF_PEAK: Metric =
    Metric::higher("PSNR", "peak signal-to-noise ratio, dB, peak = largest value of the fused image", |t| {
        let peak = t.fused().pixels().iter().copied().max().map_or(0.0, f64::from);
        Ok(10.0 * (peak * peak / mse(t)).log10())
    });

/// Sum of the squared differences to one source, exact.
fn squares(source: &Gray<'_>, fused: &Gray<'_>) -> u64 {
    fused.pixels().iter().zip(source.pixels()).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum()
}

/// Mean over both sources of the mean squared error, in squared levels.
fn mse(triple: &Triple<'_>) -> f64 {
    let n = triple.fused().pixels().len() as f64;
    triple.sources().map(|source| squares(source, triple.fused()) as f64 / n).iter().sum::<f64>() / 2.0
}

fn rmse(triple: &Triple<'_>) -> f64 {
    let n = triple.fused().pixels().len() as f64;
    triple.sources().map(|source| (squares(source, triple.fused()) as f64).sqrt() / n).iter().sum::<f64>() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_geometry::Size;

    #[test]
    fn by_hand() {
        let plane = |v: u8| Gray::new(vec![v; 4], Size::new(2, 2)).unwrap();
        let of =
            |metric: Metric, fused| metric.of(&[Triple::new(plane(10), plane(20), plane(fused)).unwrap()]).unwrap();
        // Differences 6 and 4: mean squares 36 and 16, norms 12 and 8.
        assert!((of(MSE_OF_LEVELS, 16) - 26.0).abs() < 1e-12);
        assert!((of(MSE, 16) * 255.0 * 255.0 - 26.0).abs() < 1e-12);
        assert!((of(RMSE, 16) - 2.5).abs() < 1e-12);
        assert!((of(PSNR_OF_RMSE, 16) - 20.0 * (255.0 / 2.5f64.sqrt()).log10()).abs() < 1e-12);
        assert!((of(PSNR_OF_PEAK, 16) - 10.0 * (256.0 / 26.0f64).log10()).abs() < 1e-12);
    }

    #[test]
    fn equal_images_have_no_error() {
        let image = Gray::new(vec![1, 2, 3, 4], Size::new(2, 2)).unwrap();
        let triple = [Triple::new(image.clone(), image.clone(), image).unwrap()];
        assert_eq!((MSE.of(&triple).unwrap(), RMSE.of(&triple).unwrap()), (0.0, 0.0));
        for metric in [PSNR, PSNR_OF_RMSE, PSNR_OF_PEAK] {
            assert_eq!(metric.of(&triple).unwrap(), f64::INFINITY);
        }
    }
}
