//! How often a camera's frames arrive, and when their absence is a silence.

use crate::health::Fault;

/// Frames that a silent camera may miss.
const MISSED: i64 = 3;
/// No silence is shorter than what threads and decoders may need.
const LEAST_SILENCE_NS: i64 = 100_000_000;
/// Intervals that are remembered, and how many must be known before a silence is one.
const INTERVALS: usize = 16;
const KNOWN: usize = 4;

/// How a source is, for those who wait for its frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Why nobody should wait for its next frame.
    pub absent: Option<Fault>,
    /// From when on it is silent if nothing comes; `None` as long as it is not known how often frames come.
    pub silent_at_ns: Option<i64>,
}

/// When the frames of a camera arrived.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrivals {
    last_ns: Option<i64>,
    intervals_ns: [i64; INTERVALS],
    seen: usize,
}

impl Arrivals {
    /// A frame arrived.
    pub fn add(&mut self, now_ns: i64) {
        // The end of a silence says nothing of how often frames come.
        let silence = self.silent_at_ns().is_some_and(|at| now_ns >= at);
        if let Some(last) = self.last_ns.replace(now_ns)
            && !silence
            && let Some(interval) = self.intervals_ns.get_mut(self.seen % INTERVALS)
        {
            *interval = now_ns.saturating_sub(last);
            self.seen += 1;
        }
    }

    /// The longest of the recent intervals, in nanoseconds; `None` as long as too few are known.
    #[must_use]
    pub fn interval_ns(&self) -> Option<i64> {
        self.intervals_ns.iter().take(self.seen).copied().max().filter(|_| self.seen >= KNOWN)
    }

    /// See [`Presence::silent_at_ns`].
    #[must_use]
    pub fn silent_at_ns(&self) -> Option<i64> {
        let silence = self.interval_ns()?.saturating_mul(MISSED).max(LEAST_SILENCE_NS);
        Some(self.last_ns?.saturating_add(silence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn three_missing_frames_are_a_silence_and_its_end_changes_no_habit() {
        let mut arrivals = Arrivals::default();
        (0..4).for_each(|i| arrivals.add(i * 50 * MS));
        assert_eq!(arrivals.silent_at_ns(), None, "three intervals are no habit");
        arrivals.add(200 * MS);
        assert_eq!((arrivals.interval_ns(), arrivals.silent_at_ns()), (Some(50 * MS), Some(350 * MS)));
        arrivals.add(5000 * MS);
        assert_eq!((arrivals.interval_ns(), arrivals.silent_at_ns()), (Some(50 * MS), Some(5150 * MS)));
        // A camera that becomes slower is not silent for ever.
        arrivals.add(5140 * MS);
        assert_eq!(arrivals.interval_ns(), Some(140 * MS));
        // Of a fast one no silence is shorter than what a busy machine may need.
        let mut fast = Arrivals::default();
        (0..5).for_each(|i| fast.add(i * 5 * MS));
        assert_eq!(fast.silent_at_ns(), Some(120 * MS));
    }
}
