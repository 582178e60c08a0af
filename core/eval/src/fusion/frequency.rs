use super::metric::Metric;
use super::planes::{Gray, Triple};

/// SF: root of the mean squared vertical plus the mean squared horizontal difference of neighbours, at least 0.
pub(super) const SF: Metric = Metric::higher("SF", "spatial frequency of the fused image", |t| {
    let image = t.fused();
    image.at_least("SF", 2)?;
    let (h, w) = (image.size().height, image.size().width);
    let [vertical, horizontal] = squared_differences(image);
    Ok((vertical as f64 / ((h - 1) * w) as f64 + horizontal as f64 / (h * (w - 1)) as f64).sqrt())
});

/// The same of `vifb`: both sums are divided by the number of pixels. The channels of colour lie side by side in one wide image,
/// so that the last column of one channel and the first of the next are neighbours.
pub(super) const SPATIAL_FREQUENCY: Metric =
    Metric::higher("Spatial_frequency", "spatial frequency of the fused image, sums over all pixels", |t| {
        Ok(side_by_side(std::slice::from_ref(t)))
    })
    .on_colour(|channels| Ok(side_by_side(channels)));

fn side_by_side(channels: &[Triple<'_>]) -> f64 {
    let inside: u64 = channels.iter().flat_map(|t| squared_differences(t.fused())).sum();
    let seam = |left: &Gray<'_>, right: &Gray<'_>| -> u64 {
        let ends = left.rows().zip(right.rows()).filter_map(|(l, r)| Some((*l.last()?, *r.first()?)));
        ends.map(|(l, r)| squared(l, r)).sum()
    };
    let pairs = channels.iter().zip(channels.iter().skip(1));
    let seams: u64 = pairs.map(|(left, right)| seam(left.fused(), right.fused())).sum();
    let pixels: usize = channels.iter().map(|t| t.fused().pixels().len()).sum();
    ((inside + seams) as f64 / pixels as f64).sqrt()
}

fn squared(a: u8, b: u8) -> u64 {
    u64::from(a.abs_diff(b)).pow(2)
}

/// Sums over vertical and over horizontal neighbours.
fn squared_differences(image: &Gray<'_>) -> [u64; 2] {
    let below = image.pixels().iter().skip(image.size().width);
    let vertical = image.pixels().iter().zip(below).map(|(&a, &b)| squared(a, b)).sum();
    let horizontal = image.rows().flat_map(|row| row.windows(2).map(|p| squared(p[0], p[1]))).sum();
    [vertical, horizontal]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EvalError;
    use caf_geometry::Size;

    fn triple(pixels: Vec<u8>, size: Size) -> Triple<'static> {
        let image = Gray::new(pixels, size).unwrap();
        Triple::new(image.clone(), image.clone(), image).unwrap()
    }

    #[test]
    fn by_hand() {
        // Rows 0 3, 4 7: horizontal differences 3, 3, vertical 4, 4.
        let t = triple(vec![0, 3, 4, 7], Size::new(2, 2));
        assert!((SF.of(std::slice::from_ref(&t)).unwrap() - 5.0).abs() < 1e-12);
        let sum = 2.0 * 9.0 + 2.0 * 16.0;
        assert!((SPATIAL_FREQUENCY.of(std::slice::from_ref(&t)).unwrap() - (sum / 4.0f64).sqrt()).abs() < 1e-12);
        // Twice side by side: the seam has 3 against 0 and 7 against 4.
        let both = SPATIAL_FREQUENCY.of(&[t.clone(), t]).unwrap();
        assert!((both - ((2.0 * sum + 2.0 * 9.0) / 8.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn thin_images_are_refused() {
        let t = triple(vec![1, 2, 3], Size::new(1, 3));
        assert!(matches!(SF.of(&[t]), Err(EvalError::TooSmall { metric: "SF", min_side_px: 2, .. })));
    }
}
