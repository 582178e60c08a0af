use super::planes::{Gray, Triple};

const LEVELS: usize = 256;

/// How the joint histogram of two images is binned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bins {
    /// Levels 254 and 255 share a bin in the joint histogram, but not in the marginal ones. The published code adds 1
    /// to a saturating byte; its MI is too large by up to 0.04 on photographs with white areas. Only for comparison
    /// with published tables.
    Saturated,
    /// One bin a level.
    Full,
}

/// EN: entropy in bits of the 256-bin histogram, in [0, 8].
pub fn entropy(image: Gray<'_>) -> f64 {
    let mut counts = [0u64; LEVELS];
    for &v in image.pixels() {
        counts[usize::from(v)] += 1;
    }
    bits(&counts, image.pixels().len())
}

/// MI in bits: the two terms `I(A, F)` and `I(B, F)`, whose sum is the metric.
pub fn mutual_information(triple: &Triple<'_>, bins: Bins) -> (f64, f64) {
    let fused = entropy(triple.fused());
    let term = |source: Gray<'_>| entropy(source) + fused - joint_entropy(triple.fused(), source, bins);
    (term(triple.ir()), term(triple.vi()))
}

fn joint_entropy(a: Gray<'_>, b: Gray<'_>, bins: Bins) -> f64 {
    let mut counts = vec![0u64; LEVELS * LEVELS];
    let last = match bins {
        Bins::Saturated => 254,
        Bins::Full => 255,
    };
    for (&a, &b) in a.pixels().iter().zip(b.pixels()) {
        counts[usize::from(a.min(last)) * LEVELS + usize::from(b.min(last))] += 1;
    }
    bits(&counts, a.pixels().len())
}

fn bits(counts: &[u64], total: usize) -> f64 {
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

    #[test]
    fn known_histograms() {
        let four = [0, 1, 2, 3];
        let g = Gray::new(&four, 2, 2).unwrap();
        assert_eq!(entropy(g), 2.0);
        assert_eq!(entropy(Gray::new(&[9; 6], 2, 3).unwrap()), 0.0);
        let t = Triple::new(g, Gray::new(&[5; 4], 2, 2).unwrap(), g).unwrap();
        assert_eq!(mutual_information(&t, Bins::Full), (2.0, 0.0));
    }

    #[test]
    fn the_quirk_needs_both_white_levels() {
        let white = [254, 255, 254, 255];
        let g = Gray::new(&white, 2, 2).unwrap();
        let t = Triple::new(g, g, g).unwrap();
        assert_eq!(mutual_information(&t, Bins::Full), (1.0, 1.0));
        assert_eq!(mutual_information(&t, Bins::Saturated), (2.0, 2.0));
    }
}
