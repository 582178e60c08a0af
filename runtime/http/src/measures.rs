//! What the results say, counted.

use std::time::Duration;

use caf_runtime::result::{PairResult, ResultState, Stage};
use caf_runtime::task::detection::Detections;

/// Upper bounds of the buckets in seconds: from a pixel loop on a fast machine to a model that is far too slow.
pub const BOUNDS_S: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// A histogram as Prometheus has it.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    /// Samples in each bucket; those above the last bound are in none.
    pub counts: [u64; BOUNDS_S.len()],
    /// Samples.
    pub count: u64,
    /// Their sum in seconds.
    pub sum_s: f64,
}

impl Buckets {
    fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS_S.iter().position(|bound| seconds <= *bound);
        if let Some(count) = bucket.and_then(|bucket| self.counts.get_mut(bucket)) {
            *count += 1;
        }
        self.count += 1;
        self.sum_s += seconds;
    }
}

/// What the results say so far.
#[derive(Clone, Debug, Default)]
pub struct Measures {
    /// Results.
    pub results: u64,
    /// Detections in them.
    pub detections: u64,
    /// Durations by stage.
    pub stages: [Buckets; Stage::ALL.len()],
    /// Age of each result when it came here.
    pub age: Buckets,
    /// Absolute difference of capture times within pairs.
    pub skew: Buckets,
}

impl Measures {
    /// Counts a result.
    pub fn add(&mut self, result: &PairResult) {
        self.results += 1;
        self.detections += result.image.of::<Detections>().map_or(0, |found| found.list.len() as u64);
        // A picture that says that both cameras are out took no stage.
        if result.state != ResultState::Offline {
            self.stages.iter_mut().zip(Stage::ALL).for_each(|(buckets, stage)| buckets.add(result.stages.get(stage)));
            self.age.add(result.arrived.elapsed());
        }
        result.skew_ns.into_iter().for_each(|skew| self.skew.add(Duration::from_nanos(skew.unsigned_abs())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_lies_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let mut buckets = Buckets::default();
        for ms in [0, 1, 2, 3000] {
            buckets.add(Duration::from_millis(ms));
        }
        assert_eq!(buckets.counts[..4], [1, 1, 1, 0]);
        assert_eq!((buckets.count, buckets.counts.iter().sum::<u64>(), buckets.sum_s), (4, 3, 3.003));
    }
}
