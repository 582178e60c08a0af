use super::metric::Metric;
use super::planes::Triple;

/// CC: mean over both sources of the Pearson correlation with the fused image, in [-1, 1].
pub const CC: Metric = Metric::higher("CC", "mean correlation with the sources", |t| Ok(correlation_coefficient(t)));

/// SCD: correlation of `F - B` with A plus that of `F - A` with B, in [-2, 2].
pub const SCD: Metric =
    Metric::higher("SCD", "sum of the correlations of differences", |t| Ok(sum_of_correlations_of_differences(t)));

/// A correlation with a constant image is undefined and counts as 0.
fn correlation_coefficient(triple: &Triple<'_>) -> f64 {
    let term = |source: &[u8]| pearson(source.iter().zip(triple.fused().pixels()).map(|(&a, &b)| (a.into(), b.into())));
    (term(triple.ir().pixels()) + term(triple.vi().pixels())) / 2.0
}

/// An undefined correlation counts as 0.
fn sum_of_correlations_of_differences(triple: &Triple<'_>) -> f64 {
    let fused = triple.fused().pixels();
    let term = |removed: &[u8], source: &[u8]| {
        let pairs = fused.iter().zip(removed).zip(source);
        pearson(pairs.map(|((&f, &r), &s)| (i64::from(f) - i64::from(r), s.into())))
    };
    let (ir, vi) = (triple.ir().pixels(), triple.vi().pixels());
    term(vi, ir) + term(ir, vi)
}

/// Pearson correlation from exact integer sums, 0 when either side is constant: integers decide that without a threshold.
fn pearson(pairs: impl Iterator<Item = (i64, i64)>) -> f64 {
    let (mut n, mut a_sum, mut b_sum, mut aa, mut bb, mut ab) = (0i128, 0i64, 0i64, 0i64, 0i64, 0i64);
    for (a, b) in pairs {
        n += 1;
        a_sum += a;
        b_sum += b;
        aa += a * a;
        bb += b * b;
        ab += a * b;
    }
    let moment = |product: i64, left: i64, right: i64| n * i128::from(product) - i128::from(left) * i128::from(right);
    let (a_var, b_var) = (moment(aa, a_sum, a_sum), moment(bb, b_sum, b_sum));
    if a_var == 0 || b_var == 0 {
        return 0.0;
    }
    moment(ab, a_sum, b_sum) as f64 / ((a_var as f64).sqrt() * (b_var as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::planes::Gray;
    use super::*;
    use caf_geometry::Size;

    #[test]
    fn known_correlations() {
        let (up, down, flat) = ([0, 10, 20, 30], [30, 20, 10, 0], [7; 4]);
        let triple = |ir: [u8; 4], vi: [u8; 4], fused: [u8; 4]| {
            let [ir, vi, fused] = [ir, vi, fused].map(|p| Gray::new(p.to_vec(), Size::new(2, 2)).unwrap());
            Triple::new(ir, vi, fused).unwrap()
        };
        assert!(correlation_coefficient(&triple(up, down, up)).abs() < 1e-15);
        // F - B is 2 up - 30: correlation 1 with A; F - A is zero: undefined.
        assert!((sum_of_correlations_of_differences(&triple(up, down, up)) - 1.0).abs() < 1e-15);
        assert!((correlation_coefficient(&triple(up, flat, up)) - 0.5).abs() < 1e-15);
    }
}
