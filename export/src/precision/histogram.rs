//! What values a tensor takes over all calibration frames, in a fixed amount of memory.

use crate::error::ExportError;

/// Counts of values in equal bins from −limit to +limit.
///
/// Grows by whole bins of the first frame's width when a later frame has larger values, as the histograms of ONNX Runtime's
/// quantisation tool do, so that both choose the same ranges.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    counts: Vec<u64>,
    limit: f64,
    min: f64,
    max: f64,
}

/// Bins of a histogram after the first frame.
pub const BINS: usize = 2048;
/// Bins that a histogram may grow to: a first frame that is nearly zero must neither fill the memory nor make
/// the search over windows endless.
const MOST_BINS: usize = 1 << 14;

impl Histogram {
    /// Of no values, with `bins` bins for the first ones.
    #[must_use]
    pub fn new(bins: usize) -> Self {
        Self { counts: vec![0; bins.max(2)], limit: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }

    /// Adds all values of one frame.
    ///
    /// # Errors
    /// [`ExportError::NotFinite`] with the name when a value is none.
    pub fn add(&mut self, name: &str, values: &[f32]) -> Result<(), ExportError> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            if !value.is_finite() {
                return Err(ExportError::NotFinite { tensor: name.to_owned(), value: *value });
            }
            low = low.min(f64::from(*value));
            high = high.max(f64::from(*value));
        }
        if values.is_empty() {
            return Ok(());
        }
        self.grow(low.abs().max(high.abs()));
        (self.min, self.max) = (self.min.min(low), self.max.max(high));
        let bins = self.counts.len();
        if self.limit == 0.0 {
            // All is zero, which begins the upper half.
            if let Some(count) = self.counts.get_mut(bins / 2) {
                *count += values.len() as u64;
            }
            return Ok(());
        }
        let per_unit = bins as f64 / (2.0 * self.limit);
        for value in values {
            let value = f64::from(*value);
            let mut bin = (((value + self.limit) * per_unit) as usize).min(bins - 1);
            // What rounding put into the neighbour.
            if value < self.edge(bin) {
                bin = bin.saturating_sub(1);
            } else if bin + 1 < bins && value >= self.edge(bin + 1) {
                bin += 1;
            }
            if let Some(count) = self.counts.get_mut(bin) {
                *count += 1;
            }
        }
        Ok(())
    }

    fn grow(&mut self, limit: f64) {
        if limit <= self.limit {
            return;
        }
        if self.limit == 0.0 {
            // Zeros stay in the bin that begins with zero.
            self.limit = limit;
            return;
        }
        let width = self.width();
        let more = (((limit - self.limit) / width) as usize).saturating_add(1);
        let bins = self.counts.len().saturating_add(more.saturating_mul(2));
        if bins > MOST_BINS {
            // Coarser: pairs of bins become one until there is room.
            self.halve();
            return self.grow(limit);
        }
        let mut counts = vec![0; bins];
        for (place, count) in counts.iter_mut().skip(more).zip(&self.counts) {
            *place = *count;
        }
        self.counts = counts;
        self.limit += more as f64 * width;
    }

    /// Joins every two bins; an odd half first gets an empty bin at either end.
    fn halve(&mut self) {
        if (self.counts.len() / 2) % 2 == 1 {
            let width = self.width();
            self.counts.insert(0, 0);
            self.counts.push(0);
            self.limit += width;
        }
        self.counts = self.counts.chunks(2).map(|pair| pair.iter().sum()).collect();
    }

    /// Width of a bin.
    #[must_use]
    pub fn width(&self) -> f64 {
        2.0 * self.limit / self.counts.len() as f64
    }

    /// Lower edge of a bin; that of the bin behind the last is the upper end.
    #[must_use]
    pub fn edge(&self, bin: usize) -> f64 {
        -self.limit + bin as f64 * self.width()
    }

    /// How many values lie in each bin.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Smallest and largest value; `None` before the first.
    #[must_use]
    pub fn extremes(&self) -> Option<(f64, f64)> {
        (self.min <= self.max).then_some((self.min, self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_while_a_histogram_grows() {
        let mut histogram = Histogram::new(8);
        for scale in [0.0f32, 1.0, 0.5, 3.0, 100.0] {
            let values: Vec<f32> = (-50..=50).map(|i| i as f32 / 50.0 * scale).collect();
            histogram.add("x", &values).unwrap();
        }
        assert_eq!(histogram.counts().iter().sum::<u64>(), 505);
        assert_eq!(histogram.extremes(), Some((-100.0, 100.0)));
        assert!((histogram.width() - 0.25).abs() < 1e-12, "bins keep the width of the first values that were not zero");
        // Every zero lies in the bin that begins with zero: 101, and one a scale.
        let zero = histogram.counts().len() / 2;
        assert_eq!(histogram.edge(zero), 0.0);
        assert!(histogram.counts()[zero] >= 105);
    }

    #[test]
    fn tiny_first_values_do_not_fill_the_memory() {
        let mut histogram = Histogram::new(2048);
        histogram.add("x", &[1e-30, 2e-30]).unwrap();
        histogram.add("x", &[1.0, -3.0]).unwrap();
        assert!(histogram.counts().len() <= MOST_BINS);
        assert_eq!(histogram.counts().iter().sum::<u64>(), 4);
        assert_eq!(histogram.extremes(), Some((-3.0, 1.0)));
    }

    #[test]
    fn what_is_no_number_is_named() {
        let error = Histogram::new(8).add("conv7", &[0.0, f32::NAN]).unwrap_err().to_string();
        assert!(error.contains("`conv7`") && error.contains("NaN"), "{error}");
    }
}
