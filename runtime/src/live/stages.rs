//! The work between the queues. Each function is one thread's life: it ends when its input ends, when nobody wants its
//! output any more, or at its first error; whichever it is, its queues are closed so that its neighbours end too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::summary::StageHistograms;
use crate::error::RuntimeError;
use crate::frame::{Camera, Frame};
use crate::fusion::FrameFusion;
use crate::pair::{PairCount, PairRule, Pairer, Step};
use crate::queue::{Lanes, Popped, Pushed, Queue};
use crate::result::{PairResult, ResultPool, Stage};
use crate::sink::lane::SinkLane;
use crate::source::clock::Clock;
use crate::source::kind::Pace;
use crate::source::port::{Capture, Port};
use crate::stats::Histogram;
use crate::task::detection::Detections;

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
    /// Frames captured after the time of the run was over.
    pub beyond_limit: [u64; 2],
}

/// Pairs frames until a camera has ended and none of its frames waits any more.
pub struct Pairing<'a> {
    /// Frames.
    pub capture: &'a Capture,
    /// Pairs.
    pub pairs: &'a Queue<Pair>,
    /// The run's clock.
    pub clock: &'a dyn Clock,
    /// The sources, which tell how late their frames arrive.
    pub ports: &'a [Port; 2],
    /// Whether time decides.
    pub pace: Pace,
    /// How to pair; each camera's patience without what its source tells.
    pub rule: PairRule,
    /// Take no frames that were captured later than this after the first visible one.
    pub limit_ns: Option<i64>,
}

impl Pairing<'_> {
    /// Runs the stage.
    pub fn run(self) -> Paired {
        let _closes = (CloseAtEnd(self.capture), CloseAtEnd(self.pairs));
        let mut pairer: Pairer<Frame> = Pairer::new(self.rule);
        let (mut end_ns, mut beyond_limit) = (None, [0; 2]);
        loop {
            let now = (self.pace == Pace::Realtime).then(|| self.clock.now_ns());
            for (camera, patience) in Camera::BOTH.into_iter().zip(self.rule.patience_ns) {
                let delay = self.ports[camera.index()].delay_ns();
                pairer.set_patience(camera, patience.saturating_add(delay));
            }
            match pairer.poll(now) {
                Step::Pair { infrared, visible, skew_ns } => {
                    let pair = Pair { infrared, visible, skew_ns, decided: Instant::now() };
                    if let Pushed::Closed(_) = self.pairs.push(0, pair) {
                        break;
                    }
                }
                Step::Unpaired(camera, frame, cause) => {
                    tracing::debug!(camera = camera.name(), sequence = frame.sequence, ?cause, "frame not paired");
                }
                Step::Finished => break,
                Step::Wait { needs, until_ns } => {
                    let Some((camera, frame)) = self.next(needs, until_ns, now) else {
                        self.look_for_ends(&mut pairer);
                        continue;
                    };
                    if camera == Camera::Visible && end_ns.is_none() {
                        end_ns = self.limit_ns.map(|limit| frame.capture_ns.saturating_add(limit));
                    }
                    if end_ns.is_some_and(|end| frame.capture_ns >= end) {
                        // What waits already is still used, as at any other end.
                        beyond_limit[camera.index()] += 1;
                        self.capture.close(camera.index());
                    } else {
                        pairer.offer(camera, frame);
                    }
                    self.look_for_ends(&mut pairer);
                }
            }
        }
        Paired { counts: pairer.counts(), beyond_limit }
    }

    /// Waits for the next frame. In real time every camera is emptied whatever is needed, so that nothing is dropped for
    /// want of taking.
    fn next(&self, needs: [bool; 2], until_ns: Option<i64>, now: Option<i64>) -> Option<(Camera, Frame)> {
        let wanted = if self.pace == Pace::Realtime { [true; 2] } else { needs };
        let left = until_ns.zip(now).map(|(until, now)| u64::try_from(until.saturating_sub(now)).unwrap_or(0));
        // A camera that sends nothing more must not hide the end of the other one for ever.
        let nap = left.map_or(NAP, |ns| NAP.min(Duration::from_nanos(ns)));
        match self.capture.pop(wanted, Instant::now().checked_add(nap)) {
            Popped::Item(lane, frame) if lane == Camera::Infrared.index() => Some((Camera::Infrared, frame)),
            Popped::Item(_, frame) => Some((Camera::Visible, frame)),
            Popped::TimedOut | Popped::Closed => None,
        }
    }

    fn look_for_ends(&self, pairer: &mut Pairer<Frame>) {
        Camera::BOTH.into_iter().filter(|c| self.capture.has_ended(c.index())).for_each(|c| pairer.end(c));
        if pairer.is_exhausted() {
            // The other camera has nothing left to wait for.
            self.capture.close_all();
        }
    }
}

/// What the model's stage leaves behind.
#[derive(Default)]
pub struct Inferred {
    /// Detections in the pairs fused.
    pub detections: u64,
    /// Absolute skews.
    pub skew: Histogram,
    /// Durations by stage.
    pub stages: StageHistograms,
    /// Why it ended early.
    pub failure: Option<RuntimeError>,
}

/// Fuses pairs, detects, draws, and hands each result to every sink.
pub struct Inference<'a> {
    /// The model with everything around it.
    pub fusion: FrameFusion,
    /// Pairs.
    pub pairs: &'a Queue<Pair>,
    /// The sinks.
    pub sinks: &'a [SinkLane],
    /// Empty results.
    pub pool: ResultPool,
    /// Counts the pairs fused.
    pub fused: &'a AtomicU64,
}

/// Closes every sink's lane when the stage ends, even by a panic.
struct CloseSinks<'a>(&'a [SinkLane]);

impl Drop for CloseSinks<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(SinkLane::close);
    }
}

impl Inference<'_> {
    /// Runs the stage. It ends early when sinks were asked for and every one has failed.
    pub fn run(mut self) -> Inferred {
        let _closes = (CloseAtEnd(self.pairs), CloseSinks(self.sinks));
        let mut done = Inferred::default();
        while let Some(pair) = self.pairs.next() {
            let mut shared = self.pool.take();
            let Some(result) = Arc::get_mut(&mut shared) else { continue };
            if let Err(error) = self.fuse(pair, result) {
                done.failure = Some(error);
                break;
            }
            done.stages.add(&result.stages);
            done.skew.add(Duration::from_nanos(result.skew_ns.unsigned_abs()));
            done.detections += result.image.of::<Detections>().map_or(0, |found| found.list.len() as u64);
            self.fused.fetch_add(1, Ordering::Relaxed);
            self.sinks.iter().for_each(|sink| sink.offer(&shared));
            self.pool.give_back(shared);
            if !self.sinks.is_empty() && self.sinks.iter().all(SinkLane::is_closed) {
                break;
            }
        }
        done
    }

    fn fuse(&mut self, pair: Pair, result: &mut PairResult) -> Result<(), RuntimeError> {
        let began = Instant::now();
        let Pair { infrared, visible, skew_ns, decided } = pair;
        let arrived = infrared.arrived.max(visible.arrived);
        result.time_ns = visible.capture_ns;
        result.sequence = [infrared.sequence, visible.sequence];
        result.skew_ns = skew_ns;
        result.rate = visible.rate;
        result.arrived = arrived;
        result.stages.set(Stage::Pair, decided.saturating_duration_since(arrived));
        result.stages.set(Stage::Queue, began.saturating_duration_since(decided));

        let inferred = self.fusion.infer(&infrared.view()?, &visible.view()?)?;
        // The cameras get their buffers back before anything else is done.
        drop((infrared, visible));
        let times = inferred.finish(&mut result.image)?;
        result.stages.set(Stage::Pre, times.pre);
        result.stages.set(Stage::Infer, times.infer);
        result.stages.set(Stage::Post, times.post);
        result.stages.set(Stage::Read, times.read);
        result.stages.set(Stage::Draw, times.draw);
        result.stages.set(Stage::EndToEnd, arrived.elapsed());
        Ok(())
    }
}
