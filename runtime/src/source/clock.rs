//! The time that both cameras share.

use std::fmt::Debug;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How often a waiting source looks whether it is still wanted.
const NAP: Duration = Duration::from_millis(20);

/// The clock of a run. Capture times, patience and time limits are read from it, so that a test can hold it.
pub trait Clock: Send + Sync + Debug {
    /// Makes the present moment the zero of the run.
    fn start(&self);

    /// Nanoseconds since the start of the run.
    fn now_ns(&self) -> i64;

    /// Waits until `due_ns`; true when that time has come, false as soon as `cancelled` says so.
    fn wait_until(&self, due_ns: i64, cancelled: &dyn Fn() -> bool) -> bool;
}

/// The system's monotonic clock, which is also GStreamer's.
#[derive(Debug, Default)]
pub struct MonotonicClock {
    zero: OnceLock<Instant>,
}

impl Clock for MonotonicClock {
    fn start(&self) {
        self.zero.get_or_init(Instant::now);
    }

    fn now_ns(&self) -> i64 {
        let elapsed = self.zero.get().map_or(Duration::ZERO, Instant::elapsed);
        i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX)
    }

    fn wait_until(&self, due_ns: i64, cancelled: &dyn Fn() -> bool) -> bool {
        while let Ok(left) = u64::try_from(due_ns.saturating_sub(self.now_ns()))
            && left > 0
        {
            if cancelled() {
                return false;
            }
            std::thread::sleep(NAP.min(Duration::from_nanos(left)));
        }
        true
    }
}

/// A clock that stands still until it is moved: an hour of silence passes in a test within a moment.
#[derive(Debug, Default)]
pub struct HeldClock {
    now_ns: Mutex<i64>,
    moved: Condvar,
}

impl HeldClock {
    /// Moves the time forward.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        let mut now = self.now_ns.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.saturating_add(by);
        self.moved.notify_all();
    }
}

impl Clock for HeldClock {
    fn start(&self) {}

    fn now_ns(&self) -> i64 {
        *self.now_ns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until(&self, due_ns: i64, cancelled: &dyn Fn() -> bool) -> bool {
        let mut now = self.now_ns.lock().unwrap_or_else(PoisonError::into_inner);
        while *now < due_ns {
            if cancelled() {
                return false;
            }
            now = self.moved.wait_timeout(now, NAP).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_monotonic_clock_counts_from_its_start() {
        let clock = MonotonicClock::default();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(clock.now_ns(), 0);
        clock.start();
        assert!(clock.wait_until(3_000_000, &|| false));
        let later = clock.now_ns();
        assert!(later >= 3_000_000);
        clock.start();
        assert!(clock.now_ns() >= later, "a second start must not move the zero");
        assert!(!clock.wait_until(i64::MAX, &|| true));
    }

    #[test]
    fn a_held_clock_moves_only_when_it_is_moved() {
        let clock = Arc::new(HeldClock::default());
        let waiting = {
            let clock = Arc::clone(&clock);
            std::thread::spawn(move || clock.wait_until(3_600_000_000_000, &|| false))
        };
        std::thread::sleep(Duration::from_millis(30));
        assert!(!waiting.is_finished());
        clock.advance(Duration::from_secs(3600));
        assert!(waiting.join().unwrap());
        assert_eq!(clock.now_ns(), 3_600_000_000_000);
        assert!(!clock.wait_until(i64::MAX, &|| true));
    }
}
