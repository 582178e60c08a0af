use super::entropy::Histogram;
use super::metric::Metric;
use super::planes::{Gray, Triple};

/// Cross_entropy of `vifb`: mean over both sources of the divergence of the fused image's histogram from the source's, in bits.
/// Levels that either image lacks are left out, so that it can be below 0.
pub(super) const CROSS_ENTROPY: Metric =
    Metric::lower("Cross_entropy", "divergence of the fused histogram from the sources', bits", |t| {
        Ok(cross_entropy(t))
    });

fn cross_entropy(triple: &Triple<'_>) -> f64 {
    let fused = triple.fused().shared(Histogram::of);
    let pixels = triple.fused().pixels().len() as f64;
    let term = |source: &Gray<'_>| -> f64 {
        let source = source.shared(Histogram::of);
        let bins = source.0.iter().zip(&fused.0).filter(|(s, f)| **s > 0 && **f > 0);
        bins.map(|(&s, &f)| s as f64 / pixels * (s as f64 / f as f64).log2()).sum()
    };
    (term(triple.vi()) + term(triple.ir())) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_geometry::Size;

    #[test]
    fn by_hand() {
        let plane = |levels: [u8; 4]| Gray::new(levels.to_vec(), Size::new(2, 2)).unwrap();
        // Of the infrared half is at 7, of the fused a quarter: ½ log2 2. The visible image shares no level.
        let triple = Triple::new(plane([7, 7, 1, 2]), plane([9; 4]), plane([7, 3, 4, 5])).unwrap();
        assert!((cross_entropy(&triple) - 0.25).abs() < 1e-15);
        let same = plane([1, 1, 2, 3]);
        assert_eq!(cross_entropy(&Triple::new(same.clone(), same.clone(), same).unwrap()), 0.0);
    }
}
