//! The three small functions that the curves of YOLOv5's evaluation are made of.

/// Points of the recall axis at which the precision is read.
const RECALL_POINTS: usize = 101;

/// Piecewise linear interpolation at `x` through the points `(xs, ys)`, `xs` ascending, equal entries allowed; left of
/// the first point `left`, right of the last one its value. NaN without points.
pub fn interpolate(x: f64, xs: &[f64], ys: &[f64], left: f64) -> f64 {
    let after = xs.partition_point(|&v| v <= x);
    let (Some(before), Some(&last)) = (after.checked_sub(1), ys.last()) else {
        return if xs.is_empty() { f64::NAN } else { left };
    };
    let (Some(&x0), Some(&y0)) = (xs.get(before), ys.get(before)) else { return last };
    match (xs.get(after), ys.get(after)) {
        (Some(&x1), Some(&y1)) if x != x0 => (y1 - y0) / (x1 - x0) * (x - x0) + y0,
        _ => y0,
    }
}

/// Average precision of one class at one IoU threshold, from recall (ascending) and precision after each detection in
/// order of confidence; in [0, 1].
///
/// The curve starts at (0, 1) and ends at (1, 0); precision is made non-increasing from the right, read at 101 recalls by
/// linear interpolation, and integrated by trapezoids.
pub fn average_precision(recall: &[f64], precision: &[f64]) -> f64 {
    let recall: Vec<f64> = [0.0].into_iter().chain(recall.iter().copied()).chain([1.0]).collect();
    let mut envelope: Vec<f64> = [1.0].into_iter().chain(precision.iter().copied()).chain([0.0]).collect();
    let mut highest = f64::NEG_INFINITY;
    for p in envelope.iter_mut().rev() {
        highest = highest.max(*p);
        *p = highest;
    }
    let step = 1.0 / (RECALL_POINTS - 1) as f64;
    let at = |i: usize| if i + 1 == RECALL_POINTS { 1.0 } else { i as f64 * step };
    let read = |i: usize| interpolate(at(i), &recall, &envelope, 1.0);
    (1..RECALL_POINTS).map(|i| (at(i) - at(i - 1)) * (read(i) + read(i - 1)) / 2.0).sum()
}

/// Moving average over about `2 · fraction` of `values`, the ends repeated. An even window makes the result one longer.
pub fn box_smooth(values: &[f64], fraction: f64) -> Vec<f64> {
    let (Some(&first), Some(&last)) = (values.first(), values.last()) else { return vec![] };
    let window = (values.len() as f64 * fraction * 2.0).round_ties_even() as usize / 2 + 1;
    let pad = window / 2;
    let padded: Vec<f64> =
        std::iter::repeat_n(first, pad).chain(values.iter().copied()).chain(std::iter::repeat_n(last, pad)).collect();
    padded.windows(window).map(|w| w.iter().sum::<f64>() / window as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolation() {
        let (xs, ys) = ([0.0, 1.0, 1.0, 2.0], [0.0, 1.0, 3.0, 5.0]);
        let at = |x| interpolate(x, &xs, &ys, -1.0);
        assert_eq!([at(-0.1), at(0.5), at(1.0), at(1.5), at(2.0), at(9.0)], [-1.0, 0.5, 3.0, 4.0, 5.0, 5.0]);
        assert!(interpolate(0.0, &[], &[], 0.0).is_nan());
    }

    #[test]
    fn perfect_and_empty_curves() {
        // Even a perfect detector loses half a step on the way down to (1, 0).
        assert!((average_precision(&[0.5, 1.0], &[1.0, 1.0]) - 0.995).abs() < 1e-12);
        assert!((average_precision(&[], &[]) - 0.5).abs() < 1e-12);
        assert!(box_smooth(&[], 0.1).is_empty());
    }
}
