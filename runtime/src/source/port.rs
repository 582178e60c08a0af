//! Where a source hands over its frames and tells how it is.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use caf_geometry::Size;
use serde::Serialize;

use super::arrivals::{Arrivals, Presence};
use super::clock::Clock;
use super::error::SourceError;
use super::timeline::Timeline;
use crate::frame::{Camera, Frame};
use crate::health::Fault;
use crate::queue::{Lanes, Pushed};
use crate::stats::{Histogram, Percentiles};

/// The two capture queues, infrared first.
pub type Capture = Arc<Lanes<Frame, 2>>;

/// Changes that may wait to be told; a source that flaps faster than that loses the oldest.
const NEWS: usize = 64;

/// How long a source that is kept may be silent before it is opened again: the time of some of its frames, but not less than this.
const STALL: Duration = Duration::from_secs(2);
const STALL_INTERVALS: u32 = 8;
/// How long a source that was opened again may take to its first frame before that is tried once more.
const AGAIN: Duration = Duration::from_secs(5);

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
    /// It could not be opened again; that is tried again and again.
    NotBack {
        /// What was in the way.
        reason: String,
    },
    /// The camera's clock has jumped.
    ClockJumped {
        /// Forward by so much, in nanoseconds.
        by_ns: i64,
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
    /// How often it was opened again, or that was tried.
    pub reopened: u64,
    /// Frames not taken: they were of another size than the first.
    pub refused: u64,
    /// How often the camera's clock has jumped.
    pub clock_jumps: u64,
    /// By how many milliseconds its times have drifted from the clock of the run, from the least delay of ten seconds to that of others.
    pub drift_ms: f64,
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
    reopened: u64,
    refused: u64,
    timeline: Timeline,
    /// Why the source that is kept has ended, until that is noticed.
    ended: Option<String>,
    /// The source must be opened again.
    is_gone: bool,
    /// What was in the way of opening it again.
    obstacle: Option<String>,
    /// First sequence number of the source as it was opened last, and the one after its latest.
    sequence: [u64; 2],
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

    fn is_not_back(&mut self, reason: String) {
        // GStreamer counts its elements, so that the same reason has other numbers each time.
        let words = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        if self.obstacle.as_deref().map(words) != Some(words(&reason)) {
            self.tell(SourceEvent::NotBack { reason: reason.clone() });
            self.obstacle = Some(reason);
        }
    }

    fn revive(&mut self) {
        let again = self.state == SourceState::Lost;
        if again || self.state == SourceState::Starting {
            self.state = SourceState::Up;
            self.returned += u64::from(again);
            (self.obstacle, self.is_gone) = (None, false);
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
    /// Whether the source is opened again when it ends.
    is_kept: AtomicBool,
    inner: Mutex<Inner>,
}

/// A source's way into the run. Clones lead to the same place.
#[derive(Clone)]
pub struct Port(Arc<Shared>, Arc<AtomicBool>);

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
        let capture = Arc::clone(capture);
        let is_kept = AtomicBool::new(false);
        let shared = Shared { camera, capture, clock, timed, is_kept, inner: Mutex::new(inner) };
        Self(Arc::new(shared), Arc::new(AtomicBool::new(true)))
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
        if !self.is_wanted() {
            return false;
        }
        {
            let now = self.0.clock.now_ns();
            let mut inner = self.lock();
            let (size, expected) = (frame.size(), *inner.size.get_or_insert(frame.size()));
            if size != expected && self.is_kept() {
                // The model, the rig and the other camera fit the first size.
                inner.refused += 1;
                inner.ended = Some(format!("the images are {size}, they were {expected}"));
                self.1.store(false, Ordering::Relaxed);
                return false;
            }
            inner.size = Some(size);
            frame.sequence = frame.sequence.saturating_add(inner.sequence[0]);
            inner.sequence[1] = frame.sequence.saturating_add(1);
            if self.0.timed {
                let stamped = inner.timeline.stamp(frame.capture_ns, now);
                (frame.capture_ns, frame.time_is_guess) = (stamped.capture_ns, stamped.is_guess);
                stamped.jumped_ns.into_iter().for_each(|by_ns| inner.tell(SourceEvent::ClockJumped { by_ns }));
            }
            let late = now.saturating_sub(frame.capture_ns);
            inner.revive();
            inner.arrivals.add(now);
            frame.delivered_ns = now;
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

    /// Counts a frame that is not handed over, because it is damaged.
    pub fn count_damaged(&self) {
        self.lock().intake.damaged += 1;
    }

    /// Tells that no frames come for the time being.
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
        let is_open = self.1.swap(false, Ordering::Relaxed);
        let is_run_over = self.0.capture.is_closed(self.0.camera.index());
        {
            let mut inner = self.lock();
            // What never began has failed: a wrong set-up is told at once.
            if self.is_kept() && inner.state != SourceState::Starting && !is_run_over {
                match error {
                    // It says more than the end that may have come before it.
                    Some(error) if inner.ended.is_some() || is_open => inner.ended = Some(error.to_string()),
                    None if is_open => inner.ended = Some("the stream ended".to_owned()),
                    _ => {}
                }
                return;
            }
            if let Some(error) = error {
                inner.error.get_or_insert(error);
            }
        }
        {
            let mut inner = self.lock();
            if inner.state != SourceState::Ended {
                inner.state = SourceState::Ended;
                inner.tell(SourceEvent::Ended);
            }
        }
        self.0.capture.close(self.0.camera.index());
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

    /// A port for the source when it is opened again. The one before it takes nothing any more; sequence numbers go on.
    #[must_use]
    pub fn again(&self) -> Self {
        let now = self.0.clock.now_ns();
        let mut inner = self.lock();
        (inner.heard_ns, inner.is_gone, inner.excused) = (now, false, 0);
        inner.ended = None;
        inner.reopened += 1;
        inner.sequence[0] = inner.sequence[1];
        drop(inner);
        Self(Arc::clone(&self.0), Arc::new(AtomicBool::new(true)))
    }

    /// Tells why the source could not be opened again. A reason is told once until the source is back.
    pub fn is_still_gone(&self, reason: String) {
        let mut inner = self.lock();
        inner.is_gone = true;
        inner.is_not_back(reason);
    }

    /// Whether the source must be opened again.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.lock().is_gone
    }

    /// Notices an end, and a silence of more than `patience`: a source that never began has failed, another one is lost. One that is kept is
    /// lost sooner.
    pub fn check(&self, patience: Duration) {
        let now = self.0.clock.now_ns();
        let is_kept = self.is_kept();
        let mut inner = self.lock();
        if let Some(reason) = inner.ended.take() {
            if inner.state == SourceState::Lost {
                inner.is_not_back(reason);
            } else {
                inner.lose(reason);
            }
            inner.is_gone = true;
        }
        let silent = Duration::from_nanos(u64::try_from(now.saturating_sub(inner.heard_ns)).unwrap_or(0));
        if inner.excused > 0 || !self.is_open() {
            return;
        }
        match inner.state {
            SourceState::Starting if silent >= patience => {
                let camera = self.0.camera;
                inner.error.get_or_insert(SourceError::Silent { camera, patience });
            }
            SourceState::Up => {
                let interval = inner.arrivals.interval_ns().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
                let stall = STALL.max(Duration::from_nanos(interval).saturating_mul(STALL_INTERVALS));
                let patience = if is_kept { patience.min(stall) } else { patience };
                if silent >= patience {
                    let (seconds, frames) = (patience.as_secs_f64(), inner.frames);
                    inner.lose(format!("no frame came for {seconds} s, after {frames} frames"));
                    inner.is_gone = is_kept;
                }
            }
            SourceState::Lost => inner.is_gone |= is_kept && silent >= patience.min(AGAIN),
            SourceState::Starting | SourceState::Ended => {}
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

    /// By how much its times have drifted from the clock of the run, in nanoseconds.
    #[must_use]
    pub fn drift_ns(&self) -> i64 {
        self.lock().timeline.drift_ns()
    }

    /// How often the source has come back.
    #[must_use]
    pub fn returned(&self) -> u64 {
        self.lock().returned
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
        let Inner { state, lost, returned, reopened, refused, timeline, intake, .. } = *inner;
        let (clock_jumps, drift_ms) = (timeline.jumps(), timeline.drift_ns() as f64 / 1e6);
        let delivery = inner.delivery.percentiles();
        SourceReport { state, lost, returned, reopened, refused, clock_jumps, drift_ms, delivery, intake }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Layout, PixelFormat};
    use crate::queue::{Popped, WhenFull};
    use crate::source::clock::HeldClock;
    use std::time::Instant;

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
    fn a_kept_source_that_ends_fails_or_changes_its_size_is_gone_and_goes_on_when_it_is_opened_again() {
        let (port, _) = port(64, WhenFull::DropOldest);
        port.keep();
        let failure = || SourceError::File { path: "dev".into(), reason: "it burns".to_owned() };
        let numbered = |sequence| {
            let mut frame = frame(0);
            frame.sequence = sequence;
            frame
        };
        let large = || {
            let layout = Layout { size: Size::new(4, 1), stride_bytes: 4, format: PixelFormat::Gray8 };
            Frame::new(Camera::Infrared, 2, 0, layout, Box::new(vec![0_u8; 4])).unwrap()
        };
        type End = Box<dyn Fn(&Port)>;
        let ends: [(&str, End); 4] = [
            ("the stream ended", Box::new(Port::end)),
            ("dev: it burns", Box::new(move |port| port.fail(failure()))),
            // The error that follows its end says more.
            ("dev: it burns", Box::new(move |port| (port.end(), port.fail(failure())).0)),
            ("the images are 4x1, they were 2x1", Box::new(move |port| assert!(!port.deliver(large())))),
        ];
        let mut session = port.clone();
        for (turn, (reason, end)) in (1..).zip(ends) {
            (0..2).for_each(|i| assert!(session.deliver(numbered(i))));
            let told = std::iter::from_fn(|| port.news()).last();
            assert_eq!(told, Some(SourceEvent::Up { again: turn > 1 }));
            end(&session);
            assert!(!session.is_wanted() && port.is_open() && !session.deliver(frame(0)));
            port.check(PATIENCE);
            assert_eq!((port.report().state, port.report().lost, port.is_gone()), (SourceState::Lost, turn, true));
            assert_eq!(port.news(), Some(SourceEvent::Lost { reason: reason.to_owned() }));
            // What keeps it from coming back is told once.
            (0..2).for_each(|_| port.is_still_gone("no device".to_owned()));
            assert_eq!(port.news(), Some(SourceEvent::NotBack { reason: "no device".to_owned() }));
            assert_eq!(port.news(), None);
            session = port.again();
            assert!(session.is_wanted() && !port.is_gone());
        }
        let sequences: Vec<u64> =
            std::iter::from_fn(|| match port.0.capture.pop([true, false], Some(Instant::now())) {
                Popped::Item(_, frame) => Some(frame.sequence),
                _ => None,
            })
            .collect();
        assert_eq!(sequences, (0..8).collect::<Vec<_>>(), "numbers go on");
        assert_eq!((port.report().reopened, port.report().refused), (4, 1));
        // When the run takes no more frames, an end is none of the source.
        port.0.capture.close_all();
        session.end();
        assert_eq!((port.report().state, port.report().lost), (SourceState::Ended, 4));
    }

    #[test]
    fn a_kept_source_is_lost_after_two_seconds_and_opened_again_every_five_and_before_its_first_frame_fails() {
        let (port, clock) = port(64, WhenFull::DropOldest);
        let patience = Duration::from_secs(20);
        port.keep();
        assert!(port.deliver(frame(0)));
        clock.advance(STALL);
        port.check(patience);
        assert!(port.is_gone() && port.report().state == SourceState::Lost);
        let _session = port.again();
        clock.advance(AGAIN - Duration::from_nanos(1));
        port.check(patience);
        assert!(!port.is_gone());
        clock.advance(Duration::from_nanos(1));
        port.check(patience);
        assert!(port.is_gone());
        let (never, _) = self::port(1, WhenFull::DropOldest);
        never.keep();
        never.fail(SourceError::File { path: "dev".into(), reason: "no device".to_owned() });
        assert_eq!(never.failure().map(|e| e.to_string()), Some("dev: no device".to_owned()));
        assert!(!never.is_open());
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
