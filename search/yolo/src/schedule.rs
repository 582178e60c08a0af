//! Learning rates, momentum and accumulation over a training.

use crate::error::YoloError;

/// A training's course. The defaults of [`Schedule::original`] are those of YOLOv5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Epochs in all.
    pub epochs: usize,
    /// Batches in an epoch.
    pub batches: usize,
    /// Images in a batch.
    pub batch_size: usize,
    /// Batches of warm-up.
    pub warmup_batches: usize,
    /// Learning rate after warm-up.
    pub rate: f64,
    /// Share of it left at the end.
    pub final_share: f64,
    /// Rate of the biases at the start of warm-up.
    pub warmup_bias_rate: f64,
    /// Momentum after warm-up.
    pub momentum: f64,
    /// Momentum at the start of warm-up.
    pub warmup_momentum: f64,
    /// Weight decay for a nominal batch.
    pub decay: f64,
    /// Images whose gradients make one optimiser step, as far as whole batches allow.
    pub nominal_batch: usize,
}

/// Settings of one batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Learning rate of the biases.
    pub bias: f64,
    /// Learning rate of everything else.
    pub others: f64,
    /// Momentum.
    pub momentum: f64,
    /// Batches whose gradients are summed before a step.
    pub accumulate: usize,
}

impl Schedule {
    /// The original's course: rate 0.01, momentum 0.937, decay 0.0005, warm-up over 3 epochs and at least 100 batches.
    pub fn original(epochs: usize, batches: usize, batch_size: usize) -> Self {
        Schedule {
            epochs,
            batches,
            batch_size,
            warmup_batches: (3 * batches).max(100),
            rate: 0.01,
            final_share: 0.01,
            warmup_bias_rate: 0.1,
            momentum: 0.937,
            warmup_momentum: 0.8,
            decay: 5e-4,
            nominal_batch: 64,
        }
    }

    /// Refuses what cannot be run.
    ///
    /// # Errors
    /// [`YoloError::Setting`] with the name and the value.
    pub fn check(&self) -> Result<(), YoloError> {
        let counts = [
            ("epochs", self.epochs),
            ("batches", self.batches),
            ("batch_size", self.batch_size),
            ("nominal_batch", self.nominal_batch),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, n)| *n == 0) {
            return Err(YoloError::Setting { name, expected: "at least 1", found: 0.0 });
        }
        let numbers = [
            ("rate", self.rate),
            ("final_share", self.final_share),
            ("warmup_bias_rate", self.warmup_bias_rate),
            ("momentum", self.momentum),
            ("warmup_momentum", self.warmup_momentum),
            ("decay", self.decay),
        ];
        match numbers.into_iter().find(|(_, v)| !(v.is_finite() && *v >= 0.0)) {
            Some((name, found)) => Err(YoloError::Setting { name, expected: "a number ≥ 0", found }),
            None => Ok(()),
        }
    }

    /// Settings of a batch, counted from 0 over the whole training.
    ///
    /// The rate falls linearly by epoch. In warm-up the biases come down from their starting rate, everything else rises from 0,
    /// and momentum and accumulation rise.
    pub fn at(&self, batch: usize) -> Rates {
        let epoch = batch / self.batches.max(1);
        let left = 1.0 - epoch as f64 / self.epochs.max(1) as f64;
        let rate = self.rate * (left * (1.0 - self.final_share) + self.final_share);
        let whole = self.nominal_batch as f64 / self.batch_size.max(1) as f64;
        if batch > self.warmup_batches || self.warmup_batches == 0 {
            return Rates { bias: rate, others: rate, momentum: self.momentum, accumulate: rounded(whole) };
        }
        let done = batch as f64 / self.warmup_batches as f64;
        let between = |from: f64, to: f64| from + (to - from) * done;
        Rates {
            bias: between(self.warmup_bias_rate, rate),
            others: between(0.0, rate),
            momentum: between(self.warmup_momentum, self.momentum),
            accumulate: rounded(between(1.0, whole)),
        }
    }

    /// Weight decay scaled to the images that really make one step.
    pub fn scaled_decay(&self) -> f64 {
        let accumulate = rounded(self.nominal_batch as f64 / self.batch_size.max(1) as f64);
        self.decay * (self.batch_size * accumulate) as f64 / self.nominal_batch.max(1) as f64
    }
}

fn rounded(batches: f64) -> usize {
    (batches.round_ties_even() as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_runs_from_the_starting_values_to_the_course() {
        let s = Schedule::original(100, 50, 16);
        assert_eq!(s.warmup_batches, 150);
        let first = s.at(0);
        assert_eq!((first.bias, first.others, first.momentum, first.accumulate), (0.1, 0.0, 0.8, 1));
        let half = s.at(75);
        let rate_epoch_1 = 0.01 * (0.99 * 0.99 + 0.01);
        assert!((half.others - rate_epoch_1 / 2.0).abs() < 1e-12);
        assert!((half.bias - (0.1 + rate_epoch_1) / 2.0).abs() < 1e-12);
        // 1 + 3/2 = 2.5, halves to even as the original rounds.
        assert_eq!(half.accumulate, 2);
        let last = s.at(150);
        assert!((last.bias - last.others).abs() < 1e-15);
        assert!((last.momentum - 0.937).abs() < 1e-12);
        assert_eq!(last.accumulate, 4);
    }

    #[test]
    fn the_rate_falls_by_epoch_to_its_final_share() {
        let s = Schedule { warmup_batches: 0, ..Schedule::original(10, 5, 64) };
        assert_eq!(s.at(0).others, 0.01);
        assert_eq!(s.at(4), s.at(0));
        assert!((s.at(49).others - 0.01 * (0.1 * 0.99 + 0.01)).abs() < 1e-15);
    }

    #[test]
    fn decay_is_scaled_to_the_accumulated_batch() {
        assert_eq!(Schedule::original(1, 1, 16).scaled_decay(), 5e-4);
        assert!((Schedule::original(1, 1, 24).scaled_decay() - 5e-4 * 72.0 / 64.0).abs() < 1e-15);
        assert!((Schedule::original(1, 1, 128).scaled_decay() - 1e-3).abs() < 1e-15);
    }

    #[test]
    fn zero_counts_are_refused_by_name() {
        let error = Schedule::original(0, 1, 1).check().unwrap_err();
        assert!(error.to_string().contains("epochs"), "{error}");
    }
}
