//! How long each stage takes: percentiles in fixed memory, however long a run lasts.

use std::time::Duration;

use serde::Serialize;

/// Buckets per power of two; a reported percentile is at most 1/256 of its value away from a real sample.
const PER_OCTAVE: usize = 128;
const OCTAVE_BITS: u32 = PER_OCTAVE.trailing_zeros();
const BUCKETS: usize = PER_OCTAVE * (65 - OCTAVE_BITS as usize);

/// A histogram of durations with logarithmic buckets.
#[derive(Clone)]
pub struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
    sum_ns: u128,
    max_ns: u64,
}

/// What a stage's durations look like, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Samples.
    pub count: u64,
    /// Mean.
    pub mean_ms: f64,
    /// Half of the samples are not above this.
    pub p50_ms: f64,
    /// 95 % of the samples are not above this.
    pub p95_ms: f64,
    /// 99 % of the samples are not above this.
    pub p99_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

impl Percentiles {
    /// Head of a table of [`Self::row`]s.
    pub const HEADER: &'static str = "ms               mean      p50      p95      p99      max";

    /// A line of a table, in milliseconds.
    #[must_use]
    pub fn row(&self, name: &str) -> String {
        let Self { mean_ms, p50_ms, p95_ms, p99_ms, max_ms, .. } = self;
        format!("{name:<12}{mean_ms:>9.2}{p50_ms:>9.2}{p95_ms:>9.2}{p99_ms:>9.2}{max_ms:>9.2}")
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS].into_boxed_slice(), count: 0, sum_ns: 0, max_ns: 0 }
    }
}

/// Values below [`PER_OCTAVE`] have a bucket each; above, the leading bits choose it.
fn bucket(ns: u64) -> usize {
    let octave = (u64::BITS - ns.leading_zeros()).saturating_sub(OCTAVE_BITS + 1);
    let mantissa = usize::try_from(ns >> octave).unwrap_or(usize::MAX);
    octave as usize * PER_OCTAVE + mantissa
}

/// The middle of a bucket.
fn middle(bucket: usize) -> f64 {
    if bucket < 2 * PER_OCTAVE {
        return bucket as f64;
    }
    let octave = (bucket / PER_OCTAVE - 1) as u32;
    let low = ((bucket % PER_OCTAVE + PER_OCTAVE) as f64) * f64::from(octave).exp2();
    low + (f64::from(octave).exp2() - 1.0) / 2.0
}

impl Histogram {
    /// Adds one duration.
    pub fn add(&mut self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.buckets.get_mut(bucket(ns)) {
            *count += 1;
        }
        self.count += 1;
        self.sum_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// The nearest-rank percentile in nanoseconds: the smallest value that at least `percent` of the samples do not
    /// exceed, to the width of a bucket. 0 without samples.
    #[must_use]
    pub fn percentile_ns(&self, percent: f64) -> f64 {
        let rank = ((percent / 100.0 * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(index).min(self.max_ns as f64);
            }
        }
        0.0
    }

    /// Summary in milliseconds.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        const MS: f64 = 1e6;
        if self.count == 0 {
            return Percentiles::default();
        }
        Percentiles {
            count: self.count,
            mean_ms: self.sum_ns as f64 / self.count as f64 / MS,
            p50_ms: self.percentile_ns(50.0) / MS,
            p95_ms: self.percentile_ns(95.0) / MS,
            p99_ms: self.percentile_ns(99.0) / MS,
            max_ms: self.max_ns as f64 / MS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_agree_with_sorting_to_the_width_of_a_bucket() {
        let mut state = 7_u64;
        for count in [1_usize, 2, 3, 99, 100, 101, 5000] {
            let mut histogram = Histogram::default();
            let mut all = vec![];
            for _ in 0..count {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let ns = (state >> 20) >> (state % 40);
                histogram.add(Duration::from_nanos(ns));
                all.push(ns);
            }
            all.sort_unstable();
            for percent in [1.0, 50.0, 95.0, 99.0, 100.0] {
                let rank = ((percent / 100.0 * count as f64).ceil() as usize).max(1);
                let exact = all[rank - 1] as f64;
                let found = histogram.percentile_ns(percent);
                assert!((found - exact).abs() <= exact / 256.0, "{count} samples, p{percent}: {found} against {exact}");
            }
            assert_eq!(histogram.percentiles().max_ms, *all.last().unwrap() as f64 / 1e6);
        }
    }

    #[test]
    fn every_duration_has_a_bucket_and_buckets_are_in_order() {
        let mut last = 0;
        for shift in 0..64 {
            for ns in [(1_u64 << shift) - 1, 1 << shift, (1 << shift) + (1 << shift) / 3] {
                let index = bucket(ns);
                assert!(index >= last && index < BUCKETS, "{ns} ns in bucket {index}");
                last = index.max(last);
            }
        }
        assert!(bucket(u64::MAX) < BUCKETS);
        assert_eq!(Histogram::default().percentiles(), Percentiles::default());
    }
}
