use super::planes::{Gray, Triple};
use crate::EvalError;

/// SD: population standard deviation of the fused image, in [0, 127.5]. From exact integer sums.
pub fn standard_deviation(image: Gray<'_>) -> f64 {
    let n = image.pixels().len() as u128;
    let (mut sum, mut squares) = (0u128, 0u128);
    for &v in image.pixels() {
        sum += u128::from(v);
        squares += u128::from(v) * u128::from(v);
    }
    ((n * squares - sum * sum) as f64).sqrt() / n as f64
}

/// SF: root of the mean squared vertical plus the mean squared horizontal difference of neighbours, at least 0.
///
/// # Errors
/// [`EvalError::TooSmall`] below 2 pixels on a side.
pub fn spatial_frequency(image: Gray<'_>) -> Result<f64, EvalError> {
    image.at_least("SF", 2)?;
    let (h, w) = image.size_hw();
    let squared = |a: u8, b: u8| u64::from(a.abs_diff(b)).pow(2);
    let horizontal: u64 = image.rows().flat_map(|row| row.windows(2).map(|p| squared(p[0], p[1]))).sum();
    let vertical: u64 = image.pixels().iter().zip(&image.pixels()[w..]).map(|(&a, &b)| squared(a, b)).sum();
    Ok((vertical as f64 / ((h - 1) * w) as f64 + horizontal as f64 / (h * (w - 1)) as f64).sqrt())
}

/// AG: average gradient, at least 0. Central differences inside, one-sided ones on the border; the sum runs over all
/// pixels but is divided by `(h - 1)(w - 1)`, as published.
///
/// # Errors
/// [`EvalError::TooSmall`] below 2 pixels on a side.
pub fn average_gradient(image: Gray<'_>) -> Result<f64, EvalError> {
    image.at_least("AG", 2)?;
    let (h, w) = image.size_hw();
    let p = image.pixels();
    // Twice the derivative, from whole numbers: neighbours two apart, or the one-sided difference doubled.
    let twice = |low: u8, high: u8, apart: usize| f64::from(i16::from(high) - i16::from(low)) * (2.0 / apart as f64);
    let mut sum = 0.0;
    for y in 0..h {
        let (y0, y1) = (y.saturating_sub(1), (y + 1).min(h - 1));
        for x in 0..w {
            let (x0, x1) = (x.saturating_sub(1), (x + 1).min(w - 1));
            let gx = twice(p[y * w + x0], p[y * w + x1], x1 - x0) / 2.0;
            let gy = twice(p[y0 * w + x], p[y1 * w + x], y1 - y0) / 2.0;
            sum += ((gx * gx + gy * gy) / 2.0).sqrt();
        }
    }
    Ok(sum / ((h - 1) * (w - 1)) as f64)
}

/// MSE: mean over both sources of the mean squared difference to the fused image, on pixel values in [0, 1].
pub fn mean_squared_error(triple: &Triple<'_>) -> f64 {
    let pixels = triple.fused().pixels();
    let term = |source: Gray<'_>| -> f64 {
        let sum: u64 = pixels.iter().zip(source.pixels()).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
        sum as f64 / (255.0 * 255.0) / pixels.len() as f64
    };
    (term(triple.ir()) + term(triple.vi())) / 2.0
}

/// PSNR in decibels; infinite when all three images are equal. The published code sets the peak to 255 while its MSE is
/// on [0, 1], so the value is 48.13 dB above the usual one.
pub fn psnr(triple: &Triple<'_>) -> f64 {
    20.0 * (255.0 / mean_squared_error(triple).sqrt()).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_by_hand() {
        // Rows 0 3, 4 7: horizontal differences 3, 3, vertical 4, 4.
        let g = Gray::new(&[0, 3, 4, 7], 2, 2).unwrap();
        assert!((spatial_frequency(g).unwrap() - 5.0).abs() < 1e-12);
        assert!((average_gradient(g).unwrap() - 4.0 * 12.5f64.sqrt()).abs() < 1e-12);
        assert!((standard_deviation(g) - 2.5).abs() < 1e-12);
    }

    #[test]
    fn thin_images_are_refused() {
        let g = Gray::new(&[1, 2, 3], 3, 1).unwrap();
        assert!(matches!(spatial_frequency(g), Err(EvalError::TooSmall { metric: "SF", min_side: 2, .. })));
        assert!(average_gradient(g).is_err());
    }

    #[test]
    fn equal_images_have_no_error() {
        let g = Gray::new(&[1, 2, 3, 4], 2, 2).unwrap();
        let t = Triple::new(g, g, g).unwrap();
        assert_eq!(mean_squared_error(&t), 0.0);
        assert_eq!(psnr(&t), f64::INFINITY);
    }
}
