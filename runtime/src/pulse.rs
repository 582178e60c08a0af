//! Whether a stage works at something or is stuck: a driver that hangs gives no error.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

/// The first image may take so long: engines are built for the size that it has.
const FIRST: Duration = Duration::from_secs(600);
/// In place of a time, that nothing is worked at.
const IDLE: u64 = u64::MAX;

/// A stage that has been at one image for too long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stuck {
    /// Which.
    pub stage: &'static str,
    /// For how many seconds.
    pub seconds: f64,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} stage has been at one image for {:.0} s", self.stage, self.seconds)
    }
}

/// Since when a stage has been at what it is at.
#[derive(Debug)]
pub struct Pulse {
    stage: &'static str,
    zero: Instant,
    /// Nanoseconds after `zero`.
    since_ns: AtomicU64,
    done: AtomicU64,
}

/// A stage is at something as long as it lives.
#[derive(Debug)]
pub struct Busy<'a>(&'a Pulse);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.since_ns.store(IDLE, Ordering::Relaxed);
        self.0.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Pulse {
    /// Of a stage that is at nothing.
    #[must_use]
    pub fn new(stage: &'static str) -> Self {
        Self { stage, zero: Instant::now(), since_ns: AtomicU64::new(IDLE), done: AtomicU64::new(0) }
    }

    fn now_ns(&self) -> u64 {
        // Below `IDLE` for five hundred years.
        u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(IDLE - 1)
    }

    /// The stage begins with something.
    #[must_use]
    pub fn begin(&self) -> Busy<'_> {
        self.since_ns.store(self.now_ns(), Ordering::Relaxed);
        Busy(self)
    }

    /// Whether it has been at one thing for `limit` or longer; at the first one for ten minutes at least.
    #[must_use]
    pub fn stuck(&self, limit: Duration) -> Option<Stuck> {
        self.stuck_at(self.now_ns(), limit)
    }

    fn stuck_at(&self, now_ns: u64, limit: Duration) -> Option<Stuck> {
        let since = Some(self.since_ns.load(Ordering::Relaxed)).filter(|since| *since != IDLE)?;
        let limit = if self.done.load(Ordering::Relaxed) == 0 { limit.max(FIRST) } else { limit };
        let busy = Duration::from_nanos(now_ns.saturating_sub(since));
        (busy >= limit).then_some(Stuck { stage: self.stage, seconds: busy.as_secs_f64() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_stuck_when_it_is_at_one_thing_for_too_long_and_not_when_it_waits() {
        let (limit, second) = (Duration::from_secs(60), 1_000_000_000);
        let pulse = Pulse::new("infer");
        assert_eq!(pulse.stuck_at(3600 * second, limit), None, "it has nothing to do");
        let begun = |pulse: &Pulse| pulse.since_ns.load(Ordering::Relaxed);
        let busy = pulse.begin();
        let at = begun(&pulse);
        assert_eq!(pulse.stuck_at(at + 599 * second, limit), None, "the first one may take ten minutes");
        assert_eq!(pulse.stuck_at(at + 600 * second, limit), Some(Stuck { stage: "infer", seconds: 600.0 }));
        drop(busy);
        assert_eq!(pulse.stuck_at(at + 3600 * second, limit), None);
        let _busy = pulse.begin();
        let at = begun(&pulse);
        assert_eq!(pulse.stuck_at(at + 60 * second - 1, limit), None);
        assert_eq!(pulse.stuck_at(at + 60 * second, limit), Some(Stuck { stage: "infer", seconds: 60.0 }));
    }
}
