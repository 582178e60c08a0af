//! Means over a data set that hide nothing.

use serde::Serialize;

/// Summary of one metric over many images. Values that are not finite are counted, not averaged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Values that entered the mean.
    pub count: usize,
    /// Values that were NaN or infinite.
    pub not_finite: usize,
    /// Mean of the finite values; `None` when there are none.
    pub mean: Option<f64>,
    /// Population standard deviation of the finite values.
    pub deviation: Option<f64>,
    /// Least finite value.
    pub min: Option<f64>,
    /// Greatest finite value.
    pub max: Option<f64>,
}

impl Summary {
    /// Summarises `values`.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let (finite, rest): (Vec<f64>, Vec<f64>) = values.into_iter().partition(|v| v.is_finite());
        let count = finite.len();
        let mean = (count > 0).then(|| finite.iter().sum::<f64>() / count as f64);
        let deviation = mean.map(|m| (finite.iter().map(|v| (v - m) * (v - m)).sum::<f64>() / count as f64).sqrt());
        Self {
            count,
            not_finite: rest.len(),
            mean,
            deviation,
            min: finite.iter().copied().reduce(f64::min),
            max: finite.iter().copied().reduce(f64::max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_it_leaves_out() {
        let s = Summary::of([1.0, f64::NAN, 3.0, f64::INFINITY]);
        assert_eq!((s.count, s.not_finite, s.mean, s.deviation), (2, 2, Some(2.0), Some(1.0)));
        assert_eq!((s.min, s.max), (Some(1.0), Some(3.0)));
        assert_eq!(Summary::of([]).mean, None);
    }
}
