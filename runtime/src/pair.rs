//! Brings together the infrared and the visible frame that were captured at the same moment.
//!
//! Arrival order says nothing: cameras have different latencies and drop frames. Frames are compared by capture time
//! (presentation time minus the camera's latency). Two frames are paired when each is the other's nearest among the frames
//! not yet used and their skew is within the bound; every other frame is handed back with the reason.
//!
//! To know that a frame is the nearest one needs the *next* frame of the same camera, or the certainty that it would be
//! no nearer. Against a clock, that certainty comes from the camera's own rhythm (its next frame is not due soon enough to be
//! nearer), or else when a nearer frame would have arrived; so pairing hardly ever waits a frame period.
//!
//! The module knows neither threads nor clocks: time is an argument.

use std::collections::VecDeque;

use serde::Serialize;

use crate::frame::Camera;

/// Anything with a capture time.
pub trait Timed {
    /// Nanoseconds since the start of the run.
    fn capture_ns(&self) -> i64;
}

impl Timed for crate::frame::Frame {
    fn capture_ns(&self) -> i64 {
        self.capture_ns
    }
}

/// How to pair.
#[derive(Clone, Copy, Debug)]
pub struct PairRule {
    /// Largest difference of capture times within a pair, in nanoseconds.
    pub max_skew_ns: i64,
    /// How long after its capture a frame may still arrive, per camera (infrared first), in nanoseconds: the camera's
    /// latency plus its jitter.
    pub patience_ns: [i64; 2],
    /// Most frames of one camera that may wait for a partner; one more pushes the oldest out.
    pub window: usize,
}

/// Why a frame was not paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No frame of the other camera lies within the bound.
    NoPartner,
    /// Its only possible partner lies nearer to another frame.
    PartnerNearerToAnother,
    /// Not later than the frame before it: a duplicate, or time ran backwards.
    NotLater,
    /// Too many frames waited for a partner.
    WindowFull,
}

/// How many frames of one camera went where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PairCount {
    /// Frames offered.
    pub offered: u64,
    /// Frames paired.
    pub paired: u64,
    /// Frames that went on alone, because the other camera was out.
    pub alone: u64,
    /// Frames of a camera that was out: what they show cannot be used.
    pub unfit: u64,
    /// [`Cause::NoPartner`].
    pub no_partner: u64,
    /// [`Cause::PartnerNearerToAnother`].
    pub partner_nearer_to_another: u64,
    /// [`Cause::NotLater`].
    pub not_later: u64,
    /// [`Cause::WindowFull`].
    pub window_full: u64,
}

impl PairCount {
    /// Frames whose fate is decided.
    #[must_use]
    pub const fn decided(&self) -> u64 {
        let Self { paired, alone, unfit, no_partner, partner_nearer_to_another, not_later, window_full, .. } = *self;
        paired + alone + unfit + no_partner + partner_nearer_to_another + not_later + window_full
    }
}

/// What [`Pairer::poll`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<F> {
    /// Two frames that belong together.
    Pair {
        /// The infrared one.
        infrared: F,
        /// The visible one.
        visible: F,
        /// Capture time of the visible frame minus that of the infrared one, in nanoseconds.
        skew_ns: i64,
    },
    /// A frame that goes on alone, because the other camera is out.
    Alone(Camera, F),
    /// A frame that will never be paired.
    Unpaired(Camera, F, Cause),
    /// Nothing can be decided yet.
    Wait {
        /// Whose next frame would decide.
        needs: [bool; 2],
        /// When the decision falls without it; `None`: never.
        until_ns: Option<i64>,
    },
    /// Both cameras ended and nothing is left.
    Finished,
}

/// Intervals remembered of each camera.
const RHYTHM: usize = 16;

/// The shortest of a camera's recent intervals.
#[derive(Clone, Copy, Debug)]
struct Rhythm {
    intervals: [i64; RHYTHM],
    seen: usize,
}

impl Rhythm {
    fn add(&mut self, interval: i64) {
        if let Some(slot) = self.intervals.get_mut(self.seen % RHYTHM) {
            *slot = interval;
        }
        self.seen += 1;
    }

    /// How soon the next frame can come at the earliest: three quarters of the shortest recent interval, or at once as long
    /// as too few were seen.
    fn soonest(&self) -> i64 {
        let shortest =
            if self.seen < 4 { 0 } else { self.intervals.iter().take(self.seen).copied().min().unwrap_or(0) };
        shortest / 4 * 3
    }
}

/// The frames that wait for a partner.
#[derive(Debug)]
pub struct Pairer<F> {
    rule: PairRule,
    waiting: [VecDeque<F>; 2],
    rejected: VecDeque<(Camera, F, Cause)>,
    last_ns: [Option<i64>; 2],
    rhythm: [Rhythm; 2],
    ended: [bool; 2],
    out: [bool; 2],
    /// Time of the latest result.
    passed_ns: Option<i64>,
    counts: [PairCount; 2],
}

impl<F: Timed> Pairer<F> {
    /// An empty window, allocated now.
    #[must_use]
    pub fn new(rule: PairRule) -> Self {
        let room = rule.window.max(1) + 1;
        Self {
            rule,
            waiting: [VecDeque::with_capacity(room), VecDeque::with_capacity(room)],
            rejected: VecDeque::with_capacity(4),
            last_ns: [None; 2],
            rhythm: [Rhythm { intervals: [0; RHYTHM], seen: 0 }; 2],
            ended: [false; 2],
            out: [false; 2],
            passed_ns: None,
            counts: [PairCount::default(); 2],
        }
    }

    /// Changes how long after its capture a frame of that camera may still arrive, in nanoseconds.
    pub fn set_patience(&mut self, camera: Camera, patience_ns: i64) {
        self.rule.patience_ns[camera.index()] = patience_ns;
    }

    /// How long after its capture a frame of that camera may still arrive, in nanoseconds.
    #[must_use]
    pub fn patience(&self, camera: Camera) -> i64 {
        self.rule.patience_ns[camera.index()]
    }

    /// Adds a camera's next frame.
    pub fn offer(&mut self, camera: Camera, frame: F) {
        let i = camera.index();
        let time = frame.capture_ns();
        self.counts[i].offered += 1;
        if self.last_ns[i].is_some_and(|last| time <= last) {
            self.rejected.push_back((camera, frame, Cause::NotLater));
            return;
        }
        if let Some(last) = self.last_ns[i].replace(time) {
            self.rhythm[i].add(time.saturating_sub(last));
        }
        self.waiting[i].push_back(frame);
        if self.waiting[i].len() > self.rule.window.max(1)
            && let Some(oldest) = self.waiting[i].pop_front()
        {
            self.rejected.push_back((camera, oldest, Cause::WindowFull));
        }
    }

    /// Says whether a camera is out: nobody waits for its next frame then, and the other one's go on alone. What waits of it from before
    /// is still paired.
    pub fn set_out(&mut self, camera: Camera, out: bool) {
        self.out[camera.index()] = out;
    }

    /// Counts a frame of a camera that is out.
    pub fn count_unfit(&mut self, camera: Camera) {
        let count = &mut self.counts[camera.index()];
        count.offered += 1;
        count.unfit += 1;
    }

    /// No result from now on is of this time or an earlier one: a result's time is its visible frame's, without one its infrared frame's.
    pub fn pass(&mut self, time_ns: i64) {
        self.passed_ns = self.passed_ns.max(Some(time_ns));
    }

    fn has_passed(&self, time_ns: i64) -> bool {
        self.passed_ns.is_some_and(|passed| time_ns <= passed)
    }

    /// Declares that a camera delivers nothing more.
    pub fn end(&mut self, camera: Camera) {
        self.ended[camera.index()] = true;
    }

    /// True when no pair can come any more: a camera ended and none of its frames waits.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.ended.iter().zip(&self.waiting).any(|(ended, waiting)| *ended && waiting.is_empty())
    }

    /// Where the frames went so far, infrared first.
    #[must_use]
    pub fn counts(&self) -> [PairCount; 2] {
        self.counts
    }

    /// Decides what can be decided. `now_ns` is the time on the cameras' clock; without it (files, where every frame
    /// counts) nothing is decided by waiting.
    pub fn poll(&mut self, now_ns: Option<i64>) -> Step<F> {
        if let Some((camera, frame, cause)) = self.rejected.pop_front() {
            return self.unpaired(camera, frame, cause);
        }
        let times = [0, 1].map(|i| self.waiting[i].front().map(Timed::capture_ns));
        match times {
            [None, None] if self.ended == [true, true] => Step::Finished,
            [None, None] => Step::Wait { needs: self.ended.map(|e| !e), until_ns: None },
            [Some(time), None] => self.lonely(Camera::Infrared, time, now_ns),
            [None, Some(time)] => self.lonely(Camera::Visible, time, now_ns),
            [Some(ir), Some(vi)] if ir <= vi => self.both(Camera::Infrared, ir, vi, now_ns),
            [Some(ir), Some(vi)] => self.both(Camera::Visible, vi, ir, now_ns),
        }
    }

    /// Only `camera` has a frame, captured at `time`.
    fn lonely(&mut self, camera: Camera, time: i64, now_ns: Option<i64>) -> Step<F> {
        let other = camera.other().index();
        if self.out[other] && !self.ended[other] {
            return self.alone(camera, time);
        }
        let until = time.saturating_add(self.rule.max_skew_ns).saturating_add(self.rule.patience_ns[other]);
        if self.ended[other] || now_ns.is_some_and(|now| now > until) {
            return self.reject_head(camera, Cause::NoPartner);
        }
        let mut needs = [false; 2];
        needs[other] = true;
        Step::Wait { needs, until_ns: now_ns.map(|_| until.saturating_add(1)) }
    }

    /// The other camera is out.
    fn alone(&mut self, camera: Camera, time: i64) -> Step<F> {
        if self.has_passed(time) {
            return self.reject_head(camera, Cause::NotLater);
        }
        // With both out there is nothing good to go on with.
        let head = if self.out[camera.index()] { None } else { self.waiting[camera.index()].pop_front() };
        let Some(frame) = head else { return self.reject_head(camera, Cause::NoPartner) };
        self.counts[camera.index()].alone += 1;
        self.pass(time);
        Step::Alone(camera, frame)
    }

    /// Both have one; `early` is the camera whose frame is the earlier.
    fn both(&mut self, early: Camera, early_ns: i64, late_ns: i64, now_ns: Option<i64>) -> Step<F> {
        let i = early.index();
        let gap = late_ns.saturating_sub(early_ns);
        let visible_ns = if early == Camera::Visible { early_ns } else { late_ns };
        if self.has_passed(visible_ns) {
            return self.reject_head(Camera::Visible, Cause::NotLater);
        }
        if gap > self.rule.max_skew_ns {
            // Whatever the other camera sends from now on is later still.
            return self.reject_head(early, Cause::NoPartner);
        }
        // Only the successor of the earlier frame can lie nearer to the later one.
        match self.waiting[i].get(1).map(Timed::capture_ns) {
            Some(next) if next.saturating_sub(late_ns).saturating_abs() < gap => {
                return self.reject_head(early, Cause::PartnerNearerToAnother);
            }
            Some(_) => {}
            None if gap == 0 || self.ended[i] || self.out[i] => {}
            None if now_ns.is_some() && self.rhythm[i].soonest() >= gap.saturating_mul(2) => {}
            None => {
                let until = late_ns.saturating_add(gap).saturating_add(self.rule.patience_ns[i]);
                if now_ns.is_none_or(|now| now < until) {
                    let mut needs = [false; 2];
                    needs[i] = true;
                    return Step::Wait { needs, until_ns: now_ns.map(|_| until) };
                }
            }
        }
        let [infrared, visible] = &mut self.waiting;
        match (infrared.pop_front(), visible.pop_front()) {
            (Some(infrared), Some(visible)) => {
                self.counts.iter_mut().for_each(|c| c.paired += 1);
                self.pass(visible_ns);
                let skew_ns = visible.capture_ns().saturating_sub(infrared.capture_ns());
                Step::Pair { infrared, visible, skew_ns }
            }
            // The caller saw both heads, so this arm only keeps the frame from being lost.
            (Some(frame), None) => self.unpaired(Camera::Infrared, frame, Cause::NoPartner),
            (None, Some(frame)) => self.unpaired(Camera::Visible, frame, Cause::NoPartner),
            (None, None) => Step::Wait { needs: self.ended.map(|e| !e), until_ns: None },
        }
    }

    fn reject_head(&mut self, camera: Camera, cause: Cause) -> Step<F> {
        match self.waiting[camera.index()].pop_front() {
            Some(frame) => self.unpaired(camera, frame, cause),
            None => Step::Wait { needs: self.ended.map(|e| !e), until_ns: None },
        }
    }

    fn unpaired(&mut self, camera: Camera, frame: F, cause: Cause) -> Step<F> {
        let count = &mut self.counts[camera.index()];
        match cause {
            Cause::NoPartner => count.no_partner += 1,
            Cause::PartnerNearerToAnother => count.partner_nearer_to_another += 1,
            Cause::NotLater => count.not_later += 1,
            Cause::WindowFull => count.window_full += 1,
        }
        Step::Unpaired(camera, frame, cause)
    }
}

#[cfg(test)]
#[path = "pair_tests.rs"]
mod tests;
