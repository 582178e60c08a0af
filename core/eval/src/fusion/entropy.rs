use super::metric::Metric;
use super::planes::Gray;

/// EN: entropy of the fused image in bits, in [0, 8].
pub const EN: Metric = Metric::higher("EN", "entropy of the fused image, bits", |t| Ok(entropy(t.fused())));

/// Levels of a byte.
pub(super) const LEVELS: usize = 256;

/// Pixels of each level.
pub(super) struct Histogram(pub [u64; LEVELS]);

impl Histogram {
    /// Of an image.
    pub fn of(image: &Gray<'_>) -> Self {
        let mut counts = [0u64; LEVELS];
        for &v in image.pixels() {
            counts[usize::from(v)] += 1;
        }
        Self(counts)
    }
}

/// Entropy in bits of the 256-bin histogram, in [0, 8].
pub(super) fn entropy(image: &Gray<'_>) -> f64 {
    bits(&image.shared(Histogram::of).0, image.pixels().len())
}

/// Entropy in bits of counts with this sum; empty bins are skipped.
pub(super) fn bits(counts: &[u64], total: usize) -> f64 {
    let sum: f64 = counts
        .iter()
        .filter(|&&n| n > 0)
        .map(|&n| {
            let p = n as f64 / total as f64;
            p * p.log2()
        })
        .sum();
    // 0 - x, not -x: a constant image has the entropy 0, not -0.
    0.0 - sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_geometry::Size;

    #[test]
    fn known_histograms() {
        assert_eq!(entropy(&Gray::new(vec![0, 1, 2, 3], Size::new(2, 2)).unwrap()), 2.0);
        assert_eq!(entropy(&Gray::new(vec![9; 6], Size::new(3, 2)).unwrap()), 0.0);
    }
}
