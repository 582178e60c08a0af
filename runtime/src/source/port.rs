//! Where a source hands over its frames and tells how it is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use caf_geometry::Size;

use super::arrivals::Presence;
use super::clock::Clock;
use super::error::SourceError;
use super::report::{Intake, SourceEvent, SourceReport, SourceState};
use super::standing::Standing;
use crate::frame::{Camera, Frame};
use crate::queue::{Lanes, Pushed};

/// The two capture queues, infrared first.
pub type Capture = Arc<Lanes<Frame, 2>>;

struct Shared {
    camera: Camera,
    capture: Capture,
    clock: Arc<dyn Clock>,
    /// Whether capture times are those of the clock, so that the way from capture to delivery can be timed.
    timed: bool,
    /// Whether the source is opened again when it ends.
    is_kept: AtomicBool,
    standing: Mutex<Standing>,
}

/// A source's way into the run. Clones lead to the same place.
#[derive(Clone)]
pub struct Port(Arc<Shared>, Arc<AtomicBool>);

/// As long as it lives, the source has reason to be silent.
pub struct Excused<'a>(&'a Port);

impl Drop for Excused<'_> {
    fn drop(&mut self) {
        let now = self.0.clock().now_ns();
        self.0.lock().hear(now);
    }
}

impl Port {
    /// A port into a camera's lane; `timed` when capture times are those of the clock.
    #[must_use]
    pub fn new(camera: Camera, capture: &Capture, clock: Arc<dyn Clock>, timed: bool) -> Self {
        let standing = Mutex::new(Standing::new(clock.now_ns()));
        let capture = Arc::clone(capture);
        let is_kept = AtomicBool::new(false);
        let shared = Shared { camera, capture, clock, timed, is_kept, standing };
        Self(Arc::new(shared), Arc::new(AtomicBool::new(true)))
    }

    /// The lock is never held while foreign code runs, so a poisoned state is still consistent.
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which camera.
    #[must_use]
    pub fn camera(&self) -> Camera {
        self.0.camera
    }

    /// The clock of the run.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    // For sources.

    /// Hands over a frame, which also means that the source is up. False when nobody wants frames any more.
    pub fn deliver(&self, mut frame: Frame) -> bool {
        if !self.is_wanted() {
            return false;
        }
        {
            let now = self.0.clock.now_ns();
            let mut standing = self.lock();
            if !standing.takes(&mut frame, now, self.0.timed, self.is_kept()) {
                self.1.store(false, Ordering::Relaxed);
                return false;
            }
            standing.excuse();
        }
        // A queue that makes its producer wait is no silence.
        let _waits = Excused(self);
        match self.0.capture.push(self.0.camera.index(), frame) {
            Pushed::Queued | Pushed::Replaced(_) => true,
            Pushed::Closed(_) => false,
        }
    }

    /// Counts a frame that is not handed over, because it is damaged.
    pub fn count_damaged(&self) {
        self.lock().intake.damaged += 1;
    }

    /// Tells that no frames come for the time being, or, once that is told, what keeps the source from coming back. A reason is told once
    /// until the source is back.
    pub fn lost(&self, reason: impl Into<String>) {
        self.lock().lose(reason.into());
    }

    /// Tells that nothing will come any more: until the source is opened again, where it is kept.
    pub fn end(&self) {
        self.close(None);
    }

    /// Ends because of an error; the first one counts.
    pub fn fail(&self, error: SourceError) {
        self.close(Some(error));
    }

    fn close(&self, error: Option<SourceError>) {
        let is_first = self.1.swap(false, Ordering::Relaxed);
        let returns = self.is_kept() && self.is_open();
        let is_for_good = self.lock().ends(error, is_first, returns);
        if is_for_good {
            self.0.capture.close(self.0.camera.index());
        }
    }

    /// From now on silence is meant: the next frame is not due.
    #[must_use]
    pub fn excuse(&self) -> Excused<'_> {
        self.lock().excuse();
        Excused(self)
    }

    /// Tells what was not delivered so far.
    pub fn take_in(&self, intake: Intake) {
        self.lock().intake = intake;
    }

    /// Tells how late frames arrive at the least, in nanoseconds after their capture.
    pub fn reports_delay(&self, delay_ns: i64) {
        self.lock().reported_delay_ns = delay_ns.max(0);
    }

    /// Tells that a source which looks after itself has opened its device again: what its times were measured against holds no longer.
    pub fn restarts_times(&self) {
        self.lock().restart_times();
    }

    /// True as long as somebody takes frames.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.1.load(Ordering::Relaxed) && self.is_open()
    }

    // For the run.

    /// From now on the source is one that is opened again when it ends.
    pub fn keep(&self) {
        self.0.is_kept.store(true, Ordering::Relaxed);
    }

    /// Whether the source is opened again when it ends.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.0.is_kept.load(Ordering::Relaxed)
    }

    /// True until the run takes no more frames of the camera.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.0.capture.is_closed(self.0.camera.index())
    }

    /// A port for the source when it is opened again. The one before it takes nothing any more; sequence numbers go on, times begin anew.
    #[must_use]
    pub fn again(&self) -> Self {
        let now = self.0.clock.now_ns();
        self.lock().reopen(now);
        Self(Arc::clone(&self.0), Arc::new(AtomicBool::new(true)))
    }

    /// Tells why the source could not be opened again. A reason is told once until the source is back.
    pub fn is_still_gone(&self, reason: String) {
        self.lock().is_still_gone(reason);
    }

    /// Whether the source must be opened again.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.lock().is_gone()
    }

    /// Notices an end, and a silence of more than `patience`: a source that never began has failed, another one is lost. One that is kept is
    /// lost sooner.
    pub fn check(&self, patience: Duration) {
        let now = self.0.clock.now_ns();
        let (is_kept, is_open) = (self.is_kept(), self.is_open());
        self.lock().check(now, patience, self.0.camera, is_kept, is_open);
    }

    /// The next change that was not told yet.
    #[must_use]
    pub fn news(&self) -> Option<SourceEvent> {
        self.lock().news()
    }

    /// The error that ended the source, once.
    #[must_use]
    pub fn failure(&self) -> Option<SourceError> {
        self.lock().failure()
    }

    /// How late frames arrive at the least, in nanoseconds after their capture, as the source tells.
    #[must_use]
    pub fn delay_ns(&self) -> i64 {
        self.lock().reported_delay_ns
    }

    /// How the source is, for those who wait for its frames.
    #[must_use]
    pub fn presence(&self) -> Presence {
        let now = self.0.clock.now_ns();
        self.lock().presence(now)
    }

    /// By how much its times have drifted from the clock of the run since it was opened, in nanoseconds; `None` until that is known.
    #[must_use]
    pub fn drift_ns(&self) -> Option<i64> {
        self.lock().drift_ns()
    }

    /// How often the source has come back.
    #[must_use]
    pub fn returned(&self) -> u64 {
        self.lock().returned()
    }

    /// How the source is.
    #[must_use]
    pub fn state(&self) -> SourceState {
        self.lock().state()
    }

    /// Size of the latest frame.
    #[must_use]
    pub fn size(&self) -> Option<Size> {
        self.lock().size()
    }

    /// What became of the source so far.
    #[must_use]
    pub fn report(&self) -> SourceReport {
        self.lock().report()
    }
}

#[cfg(test)]
#[path = "port_tests.rs"]
mod tests;
