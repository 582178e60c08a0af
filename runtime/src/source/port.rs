//! Where a source hands over its frames and tells how it is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use caf_geometry::Size;
use serde::Serialize;

use super::arrivals::{Arrivals, Presence};
use super::clock::Clock;
use super::error::SourceError;
use crate::frame::{Camera, Frame};
use crate::health::Fault;
use crate::queue::{Lanes, Pushed};
use crate::stats::{Histogram, Percentiles};

/// The two capture queues, infrared first.
pub type Capture = Arc<Lanes<Frame, 2>>;

/// Changes that may wait to be told; a source that flaps faster than that loses the oldest.
const NEWS: usize = 64;

/// How a source is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Opened; no frame came yet.
    #[default]
    Starting,
    /// Frames come.
    Up,
    /// Frames came and come no more; they may come again.
    Lost,
    /// Nothing will come any more.
    Ended,
}

/// A change of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceEvent {
    /// Frames come: for the first time, or again.
    Up {
        /// Whether it was lost before.
        again: bool,
    },
    /// Frames came and come no more.
    Lost {
        /// How it was noticed.
        reason: String,
    },
    /// Nothing will come any more.
    Ended,
}

/// What a source that knows its device did not deliver, or not as it came. None of these are among the frames delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Intake {
    /// Frames that the device's driver had to drop, by the gaps in its numbers.
    pub missed: u64,
    /// Frames that were damaged, cut off or could not be decoded.
    pub damaged: u64,
    /// Frames that a newer one had overtaken before they were converted.
    pub overtaken: u64,
    /// First frames of a thermal camera that hold nothing.
    pub passed_over: u64,
    /// Frames delivered as copies, because too many of the device's buffers were in use.
    pub copied: u64,
    /// How often the device was opened again.
    pub restarts: u64,
}

/// What became of a source so far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct SourceReport {
    /// How it is, or was when the run took no more frames.
    pub state: SourceState,
    /// How often it was lost.
    pub lost: u64,
    /// How often it came back.
    pub returned: u64,
    /// From capture to delivery; nothing where times are not those of the clock, as in files.
    pub delivery: Percentiles,
    /// What it did not deliver.
    pub intake: Intake,
}

#[derive(Default)]
struct Inner {
    state: SourceState,
    /// The last sign of life.
    heard_ns: i64,
    /// How many have reason to be silent: a full queue, a frame that is not due.
    excused: u32,
    frames: u64,
    arrivals: Arrivals,
    size: Option<Size>,
    lost: u64,
    returned: u64,
    delivery: Histogram,
    intake: Intake,
    reported_delay_ns: i64,
    news: VecDeque<SourceEvent>,
    error: Option<SourceError>,
}

impl Inner {
    fn tell(&mut self, event: SourceEvent) {
        if self.news.len() >= NEWS {
            self.news.pop_front();
        }
        self.news.push_back(event);
    }

    fn lose(&mut self, reason: String) {
        if matches!(self.state, SourceState::Starting | SourceState::Up) {
            self.state = SourceState::Lost;
            self.lost += 1;
            self.tell(SourceEvent::Lost { reason });
        }
    }

    fn revive(&mut self) {
        let again = self.state == SourceState::Lost;
        if again || self.state == SourceState::Starting {
            self.state = SourceState::Up;
            self.returned += u64::from(again);
            self.tell(SourceEvent::Up { again });
        }
    }
}

struct Shared {
    camera: Camera,
    capture: Capture,
    clock: Arc<dyn Clock>,
    /// Whether capture times are those of the clock, so that the way from capture to delivery can be timed.
    timed: bool,
    inner: Mutex<Inner>,
}

/// A source's way into the run. Clones lead to the same place.
#[derive(Clone)]
pub struct Port(Arc<Shared>);

/// As long as it lives, the source has reason to be silent.
pub struct Excused<'a>(&'a Port);

impl Drop for Excused<'_> {
    fn drop(&mut self) {
        let now = self.0.clock().now_ns();
        let mut inner = self.0.lock();
        inner.excused = inner.excused.saturating_sub(1);
        inner.heard_ns = now;
    }
}

impl Port {
    /// A port into a camera's lane; `timed` when capture times are those of the clock.
    #[must_use]
    pub fn new(camera: Camera, capture: &Capture, clock: Arc<dyn Clock>, timed: bool) -> Self {
        let inner = Inner { heard_ns: clock.now_ns(), news: VecDeque::with_capacity(NEWS), ..Inner::default() };
        Self(Arc::new(Shared { camera, capture: Arc::clone(capture), clock, timed, inner: Mutex::new(inner) }))
    }

    /// The lock is never held while foreign code runs, so a poisoned state is still consistent.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
        {
            let now = self.0.clock.now_ns();
            let late = now.saturating_sub(frame.capture_ns);
            let mut inner = self.lock();
            inner.revive();
            inner.arrivals.add(now);
            frame.delivered_ns = now;
            inner.size = Some(frame.size());
            inner.excused += 1;
            inner.frames += 1;
            if self.0.timed {
                inner.delivery.add(Duration::from_nanos(u64::try_from(late).unwrap_or(0)));
            }
        }
        // A queue that makes its producer wait is no silence.
        let _waits = Excused(self);
        match self.0.capture.push(self.0.camera.index(), frame) {
            Pushed::Queued | Pushed::Replaced(_) => true,
            Pushed::Closed(_) => false,
        }
    }

    /// Tells that no frames come for the time being.
    pub fn lost(&self, reason: impl Into<String>) {
        self.lock().lose(reason.into());
    }

    /// Tells that nothing will come any more.
    pub fn end(&self) {
        {
            let mut inner = self.lock();
            if inner.state != SourceState::Ended {
                inner.state = SourceState::Ended;
                inner.tell(SourceEvent::Ended);
            }
        }
        self.0.capture.close(self.0.camera.index());
    }

    /// Ends because of an error; the first one counts.
    pub fn fail(&self, error: SourceError) {
        self.lock().error.get_or_insert(error);
        self.end();
    }

    /// From now on silence is meant: the next frame is not due.
    #[must_use]
    pub fn excuse(&self) -> Excused<'_> {
        self.lock().excused += 1;
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

    /// True as long as somebody takes frames.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.0.capture.is_closed(self.0.camera.index())
    }

    // For the run.

    /// Notices a silence of more than `patience`: a source that never began has failed, another one is lost.
    pub fn check(&self, patience: Duration) {
        let now = self.0.clock.now_ns();
        let mut inner = self.lock();
        let silent_ns = now.saturating_sub(inner.heard_ns);
        let overdue = u64::try_from(silent_ns).is_ok_and(|ns| Duration::from_nanos(ns) >= patience);
        if !overdue || inner.excused > 0 || !self.is_wanted() {
            return;
        }
        match inner.state {
            SourceState::Starting => {
                let camera = self.0.camera;
                inner.error.get_or_insert(SourceError::Silent { camera, patience });
            }
            SourceState::Up => {
                let (seconds, frames) = (patience.as_secs_f64(), inner.frames);
                inner.lose(format!("no frame came for {seconds} s, after {frames} frames"));
            }
            SourceState::Lost | SourceState::Ended => {}
        }
    }

    /// The next change that was not told yet.
    #[must_use]
    pub fn news(&self) -> Option<SourceEvent> {
        self.lock().news.pop_front()
    }

    /// The error that ended the source, once.
    #[must_use]
    pub fn failure(&self) -> Option<SourceError> {
        self.lock().error.take()
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
        let inner = self.lock();
        let silent_at_ns = inner.arrivals.silent_at_ns();
        let absent = match inner.state {
            SourceState::Lost => Some(Fault::Lost),
            SourceState::Up if silent_at_ns.is_some_and(|at| now >= at) => Some(Fault::Silent),
            SourceState::Starting | SourceState::Up | SourceState::Ended => None,
        };
        Presence { absent, silent_at_ns: silent_at_ns.filter(|at| *at > now) }
    }

    /// How the source is.
    #[must_use]
    pub fn state(&self) -> SourceState {
        self.lock().state
    }

    /// Size of the latest frame.
    #[must_use]
    pub fn size(&self) -> Option<Size> {
        self.lock().size
    }

    /// What became of the source so far.
    #[must_use]
    pub fn report(&self) -> SourceReport {
        let inner = self.lock();
        let Inner { state, lost, returned, intake, .. } = *inner;
        SourceReport { state, lost, returned, delivery: inner.delivery.percentiles(), intake }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Layout, PixelFormat};
    use crate::queue::WhenFull;
    use crate::source::clock::HeldClock;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn frame(capture_ns: i64) -> Frame {
        let layout = Layout { size: Size::new(2, 1), stride_bytes: 2, format: PixelFormat::Gray8 };
        Frame::new(Camera::Infrared, 0, capture_ns, layout, Box::new(vec![0_u8; 2])).unwrap()
    }

    fn port(capacity: usize, when_full: WhenFull) -> (Port, Arc<HeldClock>) {
        let clock = Arc::new(HeldClock::default());
        let capture = Arc::new(Lanes::new(capacity, when_full));
        (Port::new(Camera::Infrared, &capture, Arc::<HeldClock>::clone(&clock), true), clock)
    }

    #[test]
    fn a_source_is_up_then_lost_then_up_again_and_every_change_is_counted_and_told_once() {
        let (port, clock) = port(8, WhenFull::DropOldest);
        assert!(port.deliver(frame(0)));
        clock.advance(PATIENCE - Duration::from_nanos(1));
        port.check(PATIENCE);
        assert_eq!(port.report().state, SourceState::Up);
        clock.advance(Duration::from_nanos(1));
        port.check(PATIENCE);
        port.check(PATIENCE);
        let report = port.report();
        assert_eq!((report.state, report.lost, report.returned), (SourceState::Lost, 1, 0));
        assert!(port.deliver(frame(2_000_000_000)));
        port.lost("unplugged");
        assert!(port.deliver(frame(2_100_000_000)));
        let report = port.report();
        assert_eq!((report.state, report.lost, report.returned), (SourceState::Up, 2, 2));
        port.end();
        port.end();
        assert!(!port.deliver(frame(3_000_000_000)));
        assert_eq!(port.report().state, SourceState::Ended);
        let told: Vec<SourceEvent> = std::iter::from_fn(|| port.news()).collect();
        let lost = |reason: &str| SourceEvent::Lost { reason: reason.to_owned() };
        let up = |again| SourceEvent::Up { again };
        let silent = lost("no frame came for 2 s, after 1 frames");
        assert_eq!(told, [up(false), silent, up(true), lost("unplugged"), up(true), SourceEvent::Ended]);
        assert!(port.failure().is_none());
    }

    #[test]
    fn a_source_that_never_began_has_failed() {
        let (port, clock) = port(1, WhenFull::DropOldest);
        clock.advance(PATIENCE);
        port.check(PATIENCE);
        assert!(matches!(port.failure(), Some(SourceError::Silent { .. })));
        assert_eq!(port.report().lost, 0);
    }

    #[test]
    fn waiting_for_room_or_for_the_next_frame_is_no_silence() {
        let (port, clock) = port(1, WhenFull::Wait);
        assert!(port.deliver(frame(0)));
        let blocked = {
            let port = port.clone();
            std::thread::spawn(move || port.deliver(frame(1)))
        };
        while port.lock().excused == 0 {
            std::thread::yield_now();
        }
        clock.advance(PATIENCE * 10);
        port.check(PATIENCE);
        assert_eq!(port.report().state, SourceState::Up);
        port.0.capture.pop([true, false], None);
        assert!(blocked.join().unwrap());
        let due = port.excuse();
        clock.advance(PATIENCE * 10);
        port.check(PATIENCE);
        assert_eq!(port.report().state, SourceState::Up);
        drop(due);
        port.check(PATIENCE);
        assert_eq!(port.report().state, SourceState::Up, "the end of an excuse is a sign of life");
        clock.advance(PATIENCE);
        port.check(PATIENCE);
        assert_eq!(port.report().state, SourceState::Lost);
    }

    #[test]
    fn the_way_from_capture_to_delivery_is_timed() {
        let (port, clock) = port(8, WhenFull::DropOldest);
        clock.advance(Duration::from_millis(500));
        (0..3).for_each(|_| assert!(port.deliver(frame(0))));
        let delivery = port.report().delivery;
        assert_eq!((delivery.count, delivery.max_ms), (3, 500.0));
    }
}
