//! The time that both cameras share.

use gstreamer as gst;
use gstreamer::prelude::*;

/// The system's monotonic clock since the start of the run. Both pipelines are given the same clock and the same zero, so
/// that their presentation times can be compared.
#[derive(Clone, Debug)]
pub struct RunClock {
    clock: gst::Clock,
    zero: gst::ClockTime,
}

impl RunClock {
    /// Starts counting now. GStreamer must have been initialised.
    #[must_use]
    pub fn start() -> Self {
        let clock = gst::SystemClock::obtain();
        let zero = clock.time();
        Self { clock, zero }
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub fn now_ns(&self) -> i64 {
        let elapsed = self.clock.time().saturating_sub(self.zero);
        i64::try_from(elapsed.nseconds()).unwrap_or(i64::MAX)
    }

    /// The clock for a pipeline.
    #[must_use]
    pub fn gst_clock(&self) -> &gst::Clock {
        &self.clock
    }

    /// The clock's time at the start of the run.
    #[must_use]
    pub fn zero(&self) -> gst::ClockTime {
        self.zero
    }
}
