//! The work between the queues. Each function is one thread's life: it ends when its input ends, when nobody wants its
//! output any more, or at its first error; whichever it is, its queues are closed so that its neighbours end too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::LiveError;
use super::slot::{Slot, Stage};
use crate::frame::{Camera, Frame};
use crate::fusion::{FrameFusion, PairError};
use crate::pair::{PairCount, PairRule, Pairer, Step};
use crate::queue::{Lanes, Popped, Pushed, Queue};
use crate::source::clock::RunClock;
use crate::source::{Capture, Pace};

/// How long the pairing waits at most before it looks whether a camera ended.
const NAP: Duration = Duration::from_millis(50);

/// Closes every lane when the stage that owns it ends, even by a panic.
pub struct CloseAtEnd<'a, T, const N: usize>(pub &'a Lanes<T, N>);

impl<T, const N: usize> Drop for CloseAtEnd<'_, T, N> {
    fn drop(&mut self) {
        self.0.close_all();
    }
}

/// Two frames that belong together.
pub struct Pair {
    infrared: Frame,
    visible: Frame,
    skew_ns: i64,
    decided: Instant,
}

/// What the pairing stage leaves behind.
pub struct Paired {
    /// Where the frames went, infrared first.
    pub counts: [PairCount; 2],
    /// Whether the time of the run was over.
    pub limit_reached: bool,
}

/// Pairs frames until a camera has ended and none of its frames waits any more.
pub struct Pairing<'a> {
    /// Frames.
    pub capture: &'a Capture,
    /// Pairs.
    pub pairs: &'a Queue<Pair>,
    /// The run's clock.
    pub clock: &'a RunClock,
    /// Whether time decides.
    pub pace: Pace,
    /// How to pair.
    pub rule: PairRule,
    /// Stop when this much of the visible camera's time has passed.
    pub limit_ns: Option<i64>,
}

impl Pairing<'_> {
    /// Runs the stage.
    pub fn run(self) -> Paired {
        let _closes = (CloseAtEnd(self.capture), CloseAtEnd(self.pairs));
        let mut pairer: Pairer<Frame> = Pairer::new(self.rule);
        let (mut first_ns, mut limit_reached) = (None, false);
        loop {
            let now = (self.pace == Pace::Realtime).then(|| self.clock.now_ns());
            match pairer.poll(now) {
                Step::Pair { infrared, visible, skew_ns } => {
                    let began = *first_ns.get_or_insert(visible.capture_ns);
                    if self.limit_ns.is_some_and(|limit| visible.capture_ns.saturating_sub(began) >= limit) {
                        // What waits already is still used, as at any other end.
                        self.capture.close_all();
                        limit_reached = true;
                    }
                    let pair = Pair { infrared, visible, skew_ns, decided: Instant::now() };
                    if let Pushed::Closed(_) = self.pairs.push(0, pair) {
                        return Paired { counts: pairer.counts(), limit_reached };
                    }
                }
                Step::Unpaired(camera, frame, cause) => {
                    tracing::debug!(camera = camera.name(), sequence = frame.sequence, ?cause, "frame not paired");
                }
                Step::Finished => return Paired { counts: pairer.counts(), limit_reached },
                Step::Wait { needs, until_ns } => self.wait(&mut pairer, needs, until_ns, now),
            }
        }
    }

    /// Takes the next frame. In real time every camera is emptied whatever is needed, so that nothing is dropped for
    /// want of taking.
    fn wait(&self, pairer: &mut Pairer<Frame>, needs: [bool; 2], until_ns: Option<i64>, now: Option<i64>) {
        let wanted = if self.pace == Pace::Realtime { [true; 2] } else { needs };
        let left = until_ns.zip(now).map(|(until, now)| u64::try_from(until.saturating_sub(now)).unwrap_or(0));
        // A camera that sends nothing more must not hide the end of the other one for ever.
        let nap = left.map_or(NAP, |ns| NAP.min(Duration::from_nanos(ns)));
        match self.capture.pop(wanted, Instant::now().checked_add(nap)) {
            Popped::Item(lane, frame) => {
                let camera = if lane == Camera::Infrared.index() { Camera::Infrared } else { Camera::Visible };
                pairer.offer(camera, frame);
            }
            Popped::TimedOut => {}
            // Ends are looked at below.
            Popped::Closed => {}
        }
        Camera::BOTH.into_iter().filter(|c| self.capture.has_ended(c.index())).for_each(|c| pairer.end(c));
        if pairer.is_exhausted() {
            // The other camera has nothing left to wait for.
            self.capture.close_all();
        }
    }
}

/// Fuses pairs, detects and draws.
pub struct Inference<'a> {
    /// The model with everything around it.
    pub fusion: FrameFusion,
    /// Pairs.
    pub pairs: &'a Queue<Pair>,
    /// Empty slots.
    pub free: &'a Queue<Slot>,
    /// Filled slots.
    pub results: &'a Queue<Slot>,
    /// Counts the pairs fused.
    pub fused: &'a AtomicU64,
}

impl Inference<'_> {
    /// Runs the stage.
    pub fn run(mut self) -> Result<(), LiveError> {
        let _closes = (CloseAtEnd(self.pairs), CloseAtEnd(self.results));
        while let Some(pair) = self.pairs.next() {
            let Some(mut slot) = self.free.next() else { return Ok(()) };
            self.fuse(pair, &mut slot)?;
            self.fused.fetch_add(1, Ordering::Relaxed);
            match self.results.push(0, slot) {
                Pushed::Queued => {}
                Pushed::Replaced(oldest) => drop(self.free.push(0, oldest)),
                Pushed::Closed(_) => return Ok(()),
            }
        }
        Ok(())
    }

    fn fuse(&mut self, pair: Pair, slot: &mut Slot) -> Result<(), LiveError> {
        let began = Instant::now();
        let Pair { infrared, visible, skew_ns, decided } = pair;
        let arrived = infrared.arrived.max(visible.arrived);
        slot.time_ns = visible.capture_ns;
        slot.sequence = [infrared.sequence, visible.sequence];
        slot.skew_ns = skew_ns;
        slot.rate = visible.rate;
        slot.arrived = arrived;
        slot.stages.set(Stage::Pair, decided.saturating_duration_since(arrived));
        slot.stages.set(Stage::Queue, began.saturating_duration_since(decided));

        let inferred =
            self.fusion.infer(&infrared.view().map_err(PairError::from)?, &visible.view().map_err(PairError::from)?)?;
        // The cameras get their buffers back before anything else is done.
        drop((infrared, visible));
        let times = inferred.finish(&mut slot.image)?;
        slot.stages.set(Stage::Pre, times.pre);
        slot.stages.set(Stage::Infer, times.infer);
        slot.stages.set(Stage::Post, times.post);
        slot.stages.set(Stage::Nms, times.nms);
        slot.stages.set(Stage::Draw, times.draw);
        Ok(())
    }
}
