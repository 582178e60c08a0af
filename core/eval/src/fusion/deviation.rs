use super::metric::Metric;
use super::planes::Gray;

/// SD: population standard deviation of the fused image, in [0, 127.5].
pub const SD: Metric =
    Metric::higher("SD", "standard deviation of the fused image", |t| Ok(standard_deviation(t.fused())));

/// From exact integer sums.
fn standard_deviation(image: &Gray<'_>) -> f64 {
    let n = image.pixels().len() as u128;
    let (mut sum, mut squares) = (0u128, 0u128);
    for &v in image.pixels() {
        sum += u128::from(v);
        squares += u128::from(v) * u128::from(v);
    }
    ((n * squares - sum * sum) as f64).sqrt() / n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_geometry::Size;

    #[test]
    fn by_hand() {
        let image = Gray::new(vec![0, 3, 4, 7], Size::new(2, 2)).unwrap();
        assert!((standard_deviation(&image) - 2.5).abs() < 1e-12);
    }
}
