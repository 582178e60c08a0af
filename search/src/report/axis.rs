//! An axis: the range of its values, where they lie in the picture, and which of them are written beside it.

/// How values become lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally long.
    Linear,
    /// Equal ratios are equally long; values of 0 and below have no place.
    Log,
}

/// Values from `low` to `high` along pixels from `start` to `end`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    start_px: f64,
    end_px: f64,
}

impl Axis {
    /// An axis around the finite values; none without such. `margin` is the share of the range left free at both ends.
    pub fn around(
        values: impl Iterator<Item = f64>,
        scale: Scale,
        margin: f64,
        [start_px, end_px]: [f64; 2],
    ) -> Option<Self> {
        let outside = (f64::INFINITY, f64::NEG_INFINITY);
        let (low, high) = values.filter_map(|v| scale.place(v)).fold(outside, |(l, h), v| (l.min(v), h.max(v)));
        let range = high - low;
        let free = match range {
            // A single value stands in the middle.
            0.0 => 0.5 * low.abs().max(1e-3),
            r => margin * r,
        };
        (low <= high).then_some(Axis { scale, low: low - free, high: high + free, start_px, end_px })
    }

    /// Where a value lies; none for values that have no place.
    pub fn px(&self, value: f64) -> Option<f64> {
        let share = (self.scale.place(value)? - self.low) / (self.high - self.low);
        Some(self.start_px + share * (self.end_px - self.start_px))
    }

    /// Round values with their texts, about `most` of them.
    pub fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => self.linear_ticks(most),
            Scale::Log => self.log_ticks(most),
        }
    }

    fn linear_ticks(&self, most: usize) -> Vec<(f64, String)> {
        let rough = (self.high - self.low) / most.max(1) as f64;
        let decade = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0].map(|m| m * decade).into_iter().find(|s| *s >= rough).unwrap_or(10.0 * decade);
        let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
        let first = (self.low / step).ceil();
        (0..=2 * most)
            .map(|i| (first + i as f64) * step)
            .take_while(|v| *v <= self.high)
            // Adding zero turns -0 into 0.
            .map(|v| (v, format!("{:.decimals$}", v + 0.0)))
            .collect()
    }

    fn log_ticks(&self, most: usize) -> Vec<(f64, String)> {
        let (first, last) = (self.low.floor() as i32, self.high.ceil() as i32);
        let of = |factors: &[f64]| -> Vec<(f64, String)> {
            (first..=last)
                .flat_map(|power| factors.iter().map(move |f| f * 10_f64.powi(power)))
                .filter(|v| (self.low..=self.high).contains(&v.log10()))
                .map(|v| (v, plain(v)))
                .collect()
        };
        let finest = [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]].map(of).into_iter();
        let mut left: Vec<_> = finest.collect();
        // The finest that is not too many; the coarsest in any case.
        let fits = left.iter().position(|ticks| ticks.len() <= most).unwrap_or(left.len() - 1);
        left.swap_remove(fits)
    }
}

impl Scale {
    /// The number whose differences are lengths.
    fn place(self, value: f64) -> Option<f64> {
        match self {
            Scale::Linear => value.is_finite().then_some(value),
            Scale::Log => (value.is_finite() && value > 0.0).then(|| value.log10()),
        }
    }
}

/// A round number without needless digits.
fn plain(value: f64) -> String {
    if (1e-3..1e4).contains(&value) {
        let decimals = (-value.log10().floor()).max(0.0) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.0e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis, most: usize) -> Vec<String> {
        axis.ticks(most).into_iter().map(|t| t.1).collect()
    }

    fn axis(low: f64, high: f64, scale: Scale) -> Axis {
        Axis::around([low, high].into_iter(), scale, 0.0, [0.0, 100.0]).unwrap()
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(texts(&axis(0.0, 59.0, Scale::Linear), 6), ["0", "10", "20", "30", "40", "50"]);
        assert_eq!(texts(&axis(-0.03, 0.11, Scale::Linear), 4), ["0.00", "0.05", "0.10"]);
        assert_eq!(texts(&axis(0.0, 1234.0, Scale::Linear), 5), ["0", "500", "1000"]);
    }

    #[test]
    fn logarithmic_ticks_fill_a_short_range_and_thin_out_over_a_long_one() {
        assert_eq!(texts(&axis(0.02, 0.6, Scale::Log), 6), ["0.02", "0.05", "0.1", "0.2", "0.5"]);
        assert_eq!(texts(&axis(1e-5, 1e3, Scale::Log), 9).len(), 9);
    }

    #[test]
    fn places_follow_the_scale() {
        assert_eq!(axis(0.0, 10.0, Scale::Linear).px(5.0), Some(50.0));
        assert_eq!(axis(0.1, 10.0, Scale::Log).px(1.0), Some(50.0));
        assert_eq!(axis(0.1, 10.0, Scale::Log).px(0.0), None);
        assert_eq!(axis(3.0, 3.0, Scale::Linear).px(3.0), Some(50.0));
        assert!(Axis::around([f64::NAN].into_iter(), Scale::Linear, 0.0, [0.0, 1.0]).is_none());
    }
}
