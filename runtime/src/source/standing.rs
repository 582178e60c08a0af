//! How a source stands: its states, what it has told, and what was counted. The time is an argument of everything.

use std::collections::VecDeque;
use std::time::Duration;

use caf_geometry::Size;

use super::arrivals::{Arrivals, Presence};
use super::error::SourceError;
use super::report::{Intake, SourceEvent, SourceReport, SourceState};
use super::timeline::Timeline;
use crate::frame::{Camera, Frame};
use crate::health::Fault;
use crate::stats::Histogram;

/// Changes that may wait to be told; a source that flaps faster than that loses the oldest.
const NEWS: usize = 64;
/// How long a source that is kept may be silent before it is opened again: the time of some of its frames, but not less than this.
pub const STALL: Duration = Duration::from_secs(2);
const STALL_INTERVALS: u32 = 8;
/// How long a source that was opened again may take to its first frame before that is tried once more.
pub const AGAIN: Duration = Duration::from_secs(5);
/// From one jump of the clock that is told to the next.
pub const JUMP_TOLD_NS: i64 = 60_000_000_000;

/// How a source stands.
#[derive(Default)]
pub struct Standing {
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
    /// When a jump of the clock was told last, and how many were not told since.
    jump_told_ns: Option<i64>,
    untold: u64,
    /// Why the source that is kept has ended, until that is noticed.
    ended: Option<String>,
    /// The source must be opened again.
    is_gone: bool,
    /// What was in the way of opening it again.
    obstacle: Option<String>,
    /// First sequence number of the source as it was opened last, and the one after its latest.
    sequence: [u64; 2],
    delivery: Histogram,
    /// What it did not deliver, as it says itself.
    pub intake: Intake,
    /// How late its frames arrive at the least, as it says itself.
    pub reported_delay_ns: i64,
    news: VecDeque<SourceEvent>,
    error: Option<SourceError>,
}

impl Standing {
    /// Of a source that is about to start.
    pub fn new(now_ns: i64) -> Self {
        Self { heard_ns: now_ns, news: VecDeque::with_capacity(NEWS), ..Self::default() }
    }

    fn tell(&mut self, event: SourceEvent) {
        if self.news.len() >= NEWS {
            self.news.pop_front();
        }
        self.news.push_back(event);
    }

    /// Gives a frame its number and its time, of a source whose times are `timed` by the clock. False when it is not taken: the source is kept
    /// and its images have another size than before, so that it has to be opened again.
    pub fn takes(&mut self, frame: &mut Frame, now_ns: i64, timed: bool, is_kept: bool) -> bool {
        let (size, expected) = (frame.size(), *self.size.get_or_insert(frame.size()));
        if size != expected && is_kept {
            // The model, the rig and the other camera fit the first size.
            self.refused += 1;
            self.ended = Some(format!("the images are {size}, they were {expected}"));
            return false;
        }
        self.size = Some(size);
        frame.sequence = frame.sequence.saturating_add(self.sequence[0]);
        self.sequence[1] = frame.sequence.saturating_add(1);
        if timed {
            let stamped = self.timeline.stamp(frame.capture_ns, now_ns);
            (frame.capture_ns, frame.time_is_guess) = (stamped.capture_ns, stamped.is_guess);
            stamped.jumped_ns.into_iter().for_each(|by_ns| self.jumped(by_ns, now_ns));
        }
        self.revive();
        self.arrivals.add(now_ns);
        frame.delivered_ns = now_ns;
        self.frames += 1;
        if timed {
            let late = now_ns.saturating_sub(frame.capture_ns);
            self.delivery.add(Duration::from_nanos(u64::try_from(late).unwrap_or(0)));
        }
        true
    }

    fn jumped(&mut self, by_ns: i64, now_ns: i64) {
        if self.jump_told_ns.is_some_and(|told| now_ns.saturating_sub(told) < JUMP_TOLD_NS) {
            self.untold += 1;
            return;
        }
        self.jump_told_ns = Some(now_ns);
        let untold = std::mem::take(&mut self.untold);
        self.tell(SourceEvent::ClockJumped { by_ns, untold });
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

    /// No frames come for the time being; of a source that is lost already, that it is not back.
    pub fn lose(&mut self, reason: String) {
        match self.state {
            SourceState::Starting | SourceState::Up => {
                self.state = SourceState::Lost;
                self.lost += 1;
                self.tell(SourceEvent::Lost { reason });
            }
            SourceState::Lost => self.is_not_back(reason),
            SourceState::Ended => {}
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

    /// The source could not be opened again.
    pub fn is_still_gone(&mut self, reason: String) {
        self.is_gone = true;
        self.is_not_back(reason);
    }

    /// Whether the source must be opened again.
    pub const fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// The source ends, of an error or of itself; `is_first` when it did not before. True when that is for good: not where it `returns`, being
    /// kept in a run that goes on.
    pub fn ends(&mut self, error: Option<SourceError>, is_first: bool, returns: bool) -> bool {
        // What never began has failed: a wrong set-up is told at once.
        if returns && self.state != SourceState::Starting {
            match error {
                // It says more than the end that may have come before it.
                Some(error) if self.ended.is_some() || is_first => self.ended = Some(error.to_string()),
                None if is_first => self.ended = Some("the stream ended".to_owned()),
                _ => {}
            }
            return false;
        }
        if let Some(error) = error {
            self.error.get_or_insert(error);
        }
        if self.state != SourceState::Ended {
            self.state = SourceState::Ended;
            self.tell(SourceEvent::Ended);
        }
        true
    }

    /// From now on silence is meant.
    pub const fn excuse(&mut self) {
        self.excused = self.excused.saturating_add(1);
    }

    /// An excuse is over, which is a sign of life.
    pub const fn hear(&mut self, now_ns: i64) {
        self.excused = self.excused.saturating_sub(1);
        self.heard_ns = now_ns;
    }

    /// The source is opened again: numbers go on, times begin anew.
    pub fn reopen(&mut self, now_ns: i64) {
        (self.heard_ns, self.is_gone, self.excused) = (now_ns, false, 0);
        self.ended = None;
        self.reopened += 1;
        self.sequence[0] = self.sequence[1];
        self.timeline.reopened();
    }

    /// What its times were measured against holds no longer.
    pub const fn restart_times(&mut self) {
        self.timeline.reopened();
    }

    /// Notices an end, and a silence of more than `patience`: a source that never began has failed, another one is lost. One that is kept is
    /// lost sooner. Where the run takes no more frames (`is_open`), nothing is silent.
    pub fn check(&mut self, now_ns: i64, patience: Duration, camera: Camera, is_kept: bool, is_open: bool) {
        if let Some(reason) = self.ended.take() {
            self.lose(reason);
            self.is_gone = true;
        }
        let silent = Duration::from_nanos(u64::try_from(now_ns.saturating_sub(self.heard_ns)).unwrap_or(0));
        if self.excused > 0 || !is_open {
            return;
        }
        match self.state {
            SourceState::Starting if silent >= patience => {
                self.error.get_or_insert(SourceError::Silent { camera, patience });
            }
            SourceState::Up => {
                let interval = self.arrivals.interval_ns().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
                let stall = STALL.max(Duration::from_nanos(interval).saturating_mul(STALL_INTERVALS));
                let patience = if is_kept { patience.min(stall) } else { patience };
                if silent >= patience {
                    let (seconds, frames) = (patience.as_secs_f64(), self.frames);
                    self.lose(format!("no frame came for {seconds} s, after {frames} frames"));
                    self.is_gone = is_kept;
                }
            }
            SourceState::Lost => self.is_gone |= is_kept && silent >= patience.min(AGAIN),
            SourceState::Starting | SourceState::Ended => {}
        }
    }

    /// The next change that was not told yet.
    pub fn news(&mut self) -> Option<SourceEvent> {
        self.news.pop_front()
    }

    /// The error that ended the source, once.
    pub const fn failure(&mut self) -> Option<SourceError> {
        self.error.take()
    }

    /// How the source is, for those who wait for its frames.
    pub fn presence(&self, now_ns: i64) -> Presence {
        let silent_at_ns = self.arrivals.silent_at_ns();
        let absent = match self.state {
            SourceState::Lost => Some(Fault::Lost),
            SourceState::Up if silent_at_ns.is_some_and(|at| now_ns >= at) => Some(Fault::Silent),
            SourceState::Starting | SourceState::Up | SourceState::Ended => None,
        };
        Presence { absent, silent_at_ns: silent_at_ns.filter(|at| *at > now_ns) }
    }

    /// See [`Timeline::drift_ns`].
    pub fn drift_ns(&self) -> Option<i64> {
        self.timeline.drift_ns()
    }

    /// How often the source has come back.
    pub const fn returned(&self) -> u64 {
        self.returned
    }

    /// How the source is.
    pub const fn state(&self) -> SourceState {
        self.state
    }

    /// Size of the latest frame.
    pub const fn size(&self) -> Option<Size> {
        self.size
    }

    /// What became of the source so far.
    pub fn report(&self) -> SourceReport {
        let Self { state, lost, returned, reopened, refused, timeline, intake, .. } = *self;
        let (clock_jumps, drift_ms) = (timeline.jumps(), timeline.drift_ns().unwrap_or(0) as f64 / 1e6);
        let delivery = self.delivery.percentiles();
        SourceReport { state, lost, returned, reopened, refused, clock_jumps, drift_ms, delivery, intake }
    }

    /// Whether somebody has reason to be silent.
    #[cfg(test)]
    pub const fn is_excused(&self) -> bool {
        self.excused > 0
    }
}
