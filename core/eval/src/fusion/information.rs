//! Mutual information of the fused image and each source.

use std::f64::consts::LN_2;

use super::entropy::{LEVELS, bits, entropy};
use super::metric::Metric;
use super::planes::{Gray, Triple};
use super::stretch::Stretched;

/// MI of `linfeng`: the sum of both terms in bits, with the published code's saturated joint histogram.
pub const MI: Metric =
    Metric::higher("MI", "mutual information with the sources, bits (levels 254 and 255 share a bin)", |t| {
        Ok(saturated(t).iter().sum())
    });

/// The same with one bin a level.
pub(super) const MI_UNSATURATED: Metric =
    Metric::higher("MI_unsaturated", "mutual information with the sources, bits, one bin a level", |t| Ok(full(t)));

/// Infrared term of MI.
pub(super) const MI_IR: Metric = Metric::higher("MI_ir", "infrared term of MI", |t| Ok(saturated(t)[0]));

/// Visible term of MI.
pub(super) const MI_VI: Metric = Metric::higher("MI_vi", "visible term of MI", |t| Ok(saturated(t)[1]));

/// MI of `cddfuse`: natural logarithm.
pub(super) const MI_NATS: Metric =
    Metric::higher("MI", "mutual information with the sources, nats", |t| Ok(LN_2 * full(t)));

/// Mutinf of `vifb`: natural logarithm, of images stretched to the full range.
pub(super) const MUTINF: Metric =
    Metric::higher("Mutinf", "mutual information with the sources, all stretched to 0–255, nats", |t| {
        let fused = t.fused().shared(Stretched::of);
        let pixels = &fused.or_zero;
        let entropy = |levels: &[u8]| {
            let mut counts = [0u64; LEVELS];
            levels.iter().for_each(|&v| counts[usize::from(v)] += 1);
            bits(&counts, levels.len())
        };
        let of_fused = entropy(pixels);
        let term = |source: &Gray<'_>| {
            let source = source.shared(Stretched::of);
            entropy(&source.or_zero) + of_fused - joint_entropy(pixels, &source.or_zero, Bins::Full)
        };
        Ok(LN_2 * (term(t.vi()) + term(t.ir())))
    });

/// How the joint histogram of two images is binned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bins {
    /// Levels 254 and 255 share a bin in the joint histogram, but not in the marginal ones. The published code adds 1
    /// to a saturating byte; its MI is too large by up to 0.04 on photographs with white areas. Only for comparison
    /// with published tables.
    Saturated,
    /// One bin a level.
    Full,
}

/// The two terms with saturated bins, for three metrics.
struct Saturated([f64; 2]);

fn saturated(triple: &Triple<'_>) -> [f64; 2] {
    triple.shared(|t| Saturated(terms(t, Bins::Saturated))).0
}

fn full(triple: &Triple<'_>) -> f64 {
    terms(triple, Bins::Full).iter().sum()
}

/// `I(A, F)` and `I(B, F)` in bits.
fn terms(triple: &Triple<'_>, bins: Bins) -> [f64; 2] {
    let fused = entropy(triple.fused());
    let joint = |source: &Gray<'_>| joint_entropy(triple.fused().pixels(), source.pixels(), bins);
    triple.sources().map(|source| entropy(source) + fused - joint(source))
}

fn joint_entropy(a: &[u8], b: &[u8], bins: Bins) -> f64 {
    let mut counts = vec![0u64; LEVELS * LEVELS];
    let last = match bins {
        Bins::Saturated => 254,
        Bins::Full => 255,
    };
    for (&a, &b) in a.iter().zip(b) {
        counts[usize::from(a.min(last)) * LEVELS + usize::from(b.min(last))] += 1;
    }
    bits(&counts, a.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_geometry::Size;

    fn plane(levels: [u8; 4]) -> Gray<'static> {
        Gray::new(levels.to_vec(), Size::new(2, 2)).unwrap()
    }

    #[test]
    fn known_histograms() {
        let four = plane([0, 1, 2, 3]);
        let triple = Triple::new(four.clone(), plane([5; 4]), four).unwrap();
        assert_eq!(terms(&triple, Bins::Full), [2.0, 0.0]);
        let mutinf = MUTINF.of(&[triple]).unwrap();
        assert!((mutinf - 2.0 * LN_2).abs() < 1e-15, "{mutinf}");
    }

    #[test]
    fn the_quirk_needs_both_white_levels() {
        let white = plane([254, 255, 254, 255]);
        let triple = Triple::new(white.clone(), white.clone(), white).unwrap();
        assert_eq!(terms(&triple, Bins::Full), [1.0, 1.0]);
        assert_eq!(terms(&triple, Bins::Saturated), [2.0, 2.0]);
    }
}
