//! The work between the queues. Each function is one thread's life: it ends when its input ends, when nobody wants its
//! output any more, or at its first error; whichever it is, its queues are closed so that its neighbours end too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::matcher::{Matcher, Next, Work};
use super::picture;
use super::summary::{Paired, StageHistograms};
use crate::board::Board;
use crate::error::RuntimeError;
use crate::frame::{Camera, Frame};
use crate::fusion::{FrameFusion, PairTimes};
use crate::pair::PairRule;
use crate::pulse::Pulse;
use crate::queue::{Lanes, Popped, Pushed, Queue};
use crate::result::{PairResult, ResultPool, ResultState, Stage};
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

/// What the model gets, with when that was decided.
pub struct Order {
    work: Work<Frame>,
    decided: Instant,
}

#[cfg(test)]
impl Order {
    /// What there is to do.
    pub fn work(&self) -> &Work<Frame> {
        &self.work
    }
}

/// What is to be done when everything is decided that can be.
pub enum Turn {
    /// Wait for a frame of these cameras, at most until that time of the clock.
    Wait([bool; 2], Option<i64>),
    /// Nothing comes any more, or nobody wants it.
    Finished,
}

/// Pairs frames until a camera has ended and none of its frames waits any more.
pub struct Pairing<'a> {
    /// Frames.
    pub capture: &'a Capture,
    /// What the model gets.
    pub orders: &'a Queue<Order>,
    /// The run's clock.
    pub clock: &'a dyn Clock,
    /// The sources, which tell how late their frames arrive, and whether they are there.
    pub ports: &'a [Port; 2],
    /// Whether time decides.
    pub pace: Pace,
    /// Takes no frames that were captured later than this after the first visible one.
    pub limit_ns: Option<i64>,
    /// Where it is told how the run is.
    pub board: Option<&'a Board>,
    /// Where it is told what it is at.
    pub pulse: Option<&'a Pulse>,
    patience_ns: [i64; 2],
    matcher: Matcher<Frame>,
    end_ns: Option<i64>,
    done: Paired,
}

impl<'a> Pairing<'a> {
    /// A stage that pairs by a rule, with each camera's patience without what its source tells.
    pub fn new(
        (capture, orders): (&'a Capture, &'a Queue<Order>),
        (clock, ports): (&'a dyn Clock, &'a [Port; 2]),
        pace: Pace,
        rule: PairRule,
        degrades: bool,
    ) -> Self {
        let (matcher, done) = (Matcher::new(rule, degrades), Paired::default());
        let (limit_ns, end_ns, board, pulse) = (None, None, None, None);
        Self {
            capture,
            orders,
            clock,
            ports,
            pace,
            limit_ns,
            board,
            pulse,
            patience_ns: rule.patience_ns,
            matcher,
            end_ns,
            done,
        }
    }

    /// Runs the stage.
    pub fn run(mut self) -> Paired {
        let _closes = (CloseAtEnd(self.capture), CloseAtEnd(self.orders));
        while let Turn::Wait(needs, until_ns) = self.turn() {
            if let Some((camera, frame)) = self.next(needs, until_ns) {
                self.take(camera, frame);
            }
            self.look_for_ends();
        }
        self.finish()
    }

    /// What was done so far.
    pub fn finish(mut self) -> Paired {
        self.done.counts = self.matcher.counts();
        self.done
    }

    /// Decides what can be decided now. In real time every camera is emptied before, so that nothing is dropped for want of taking, and
    /// nobody is called silent whose frame is there.
    pub fn turn(&mut self) -> Turn {
        let _busy = self.pulse.map(Pulse::begin);
        if self.pace == Pace::Realtime {
            while let Popped::Item(lane, frame) = self.capture.pop([true; 2], Some(Instant::now())) {
                self.take(of_lane(lane), frame);
            }
            self.look_for_ends();
        }
        loop {
            for (camera, patience) in Camera::BOTH.into_iter().zip(self.patience_ns) {
                let port = &self.ports[camera.index()];
                self.matcher.set_patience(camera, patience.saturating_add(port.delay_ns()));
                self.matcher.set_presence(camera, port.presence());
            }
            if let Some(board) = self.board {
                board.decided(self.matcher.counts(), self.done.dropped);
            }
            match self.matcher.poll(self.now()) {
                Next::Work(work) => {
                    let state = work.state() as usize;
                    self.done.ordered[state] += 1;
                    match self.orders.push(0, Order { work, decided: Instant::now() }) {
                        Pushed::Queued => {}
                        Pushed::Replaced(old) => self.done.dropped[old.work.state() as usize] += 1,
                        Pushed::Closed(_) => return Turn::Finished,
                    }
                }
                Next::Unpaired(camera, frame, cause) => {
                    tracing::debug!(camera = camera.name(), sequence = frame.sequence, ?cause, "frame not paired");
                }
                Next::Wait { needs, until_ns } => return Turn::Wait(needs, until_ns),
                Next::Finished => return Turn::Finished,
            }
        }
    }

    /// The time, where it decides.
    fn now(&self) -> Option<i64> {
        (self.pace == Pace::Realtime).then(|| self.clock.now_ns())
    }

    fn take(&mut self, camera: Camera, frame: Frame) {
        if let Some(board) = self.board {
            board.saw(&frame);
        }
        if camera == Camera::Visible && self.end_ns.is_none() {
            self.end_ns = self.limit_ns.map(|limit| frame.capture_ns.saturating_add(limit));
        }
        if self.end_ns.is_some_and(|end| frame.capture_ns >= end) {
            // What waits already is still used, as at any other end.
            self.done.beyond_limit[camera.index()] += 1;
            self.capture.close(camera.index());
        } else {
            self.matcher.offer(camera, frame, self.now());
        }
    }

    /// Waits for the next frame.
    fn next(&self, needs: [bool; 2], until_ns: Option<i64>) -> Option<(Camera, Frame)> {
        let wanted = if self.pace == Pace::Realtime { [true; 2] } else { needs };
        let left = until_ns.zip(self.now()).map(|(until, now)| u64::try_from(until.saturating_sub(now)).unwrap_or(0));
        // A camera that sends nothing more must not hide the end of the other one for ever.
        let nap = left.map_or(NAP, |ns| NAP.min(Duration::from_nanos(ns)));
        match self.capture.pop(wanted, Instant::now().checked_add(nap)) {
            Popped::Item(lane, frame) => Some((of_lane(lane), frame)),
            Popped::TimedOut | Popped::Closed => None,
        }
    }

    fn look_for_ends(&mut self) {
        Camera::BOTH.into_iter().filter(|c| self.capture.has_ended(c.index())).for_each(|c| self.matcher.end(c));
        if self.matcher.is_exhausted() {
            // The other camera has nothing left to wait for.
            self.capture.close_all();
        }
    }
}

fn of_lane(lane: usize) -> Camera {
    if lane == Camera::Infrared.index() { Camera::Infrared } else { Camera::Visible }
}

/// What the model's stage leaves behind.
#[derive(Default)]
pub struct Inferred {
    /// Detections in the results.
    pub detections: u64,
    /// Absolute skews of the pairs.
    pub skew: Histogram,
    /// Durations by stage.
    pub stages: StageHistograms,
    /// Why it ended early.
    pub failure: Option<RuntimeError>,
}

/// Makes results of what the pairing stage decided, and hands each to every sink.
pub struct Inference<'a> {
    /// The model with everything around it.
    pub fusion: FrameFusion,
    /// What to make results of.
    pub orders: &'a Queue<Order>,
    /// The sinks.
    pub sinks: &'a [SinkLane],
    /// Empty results.
    pub pool: ResultPool,
    /// The sources, which know how large their images are.
    pub ports: &'a [Port; 2],
    /// Whether the picture says what its state is.
    pub draw: bool,
    /// Counts the results, by [`ResultState`].
    pub made: &'a [AtomicU64; 4],
    /// Where results are told.
    pub board: &'a Board,
    /// Where it is told what the model is at.
    pub pulse: &'a Pulse,
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
        let _closes = (CloseAtEnd(self.orders), CloseSinks(self.sinks));
        let mut done = Inferred::default();
        // Time of the latest result that shows something.
        let mut seen_ns = None;
        while let Some(Order { work, decided }) = self.orders.next() {
            let mut shared = self.pool.take();
            let Some(result) = Arc::get_mut(&mut shared) else { continue };
            let pulse = self.pulse;
            let busy = pulse.begin();
            let made = self.make(work, decided, seen_ns, result);
            drop(busy);
            if let Err(error) = made {
                done.failure = Some(error);
                break;
            }
            if result.state != ResultState::Offline {
                seen_ns = Some(result.time_ns);
                done.stages.add(&result.stages);
            }
            result.skew_ns.into_iter().for_each(|skew| done.skew.add(Duration::from_nanos(skew.unsigned_abs())));
            done.detections += result.image.of::<Detections>().map_or(0, |found| found.list.len() as u64);
            self.made[result.state as usize].fetch_add(1, Ordering::Relaxed);
            self.board.made(result);
            self.sinks.iter().for_each(|sink| sink.offer(&shared));
            self.pool.give_back(shared);
            if !self.sinks.is_empty() && self.sinks.iter().all(SinkLane::is_closed) {
                break;
            }
        }
        done
    }

    fn make(
        &mut self,
        work: Work<Frame>,
        decided: Instant,
        seen_ns: Option<i64>,
        result: &mut PairResult,
    ) -> Result<(), RuntimeError> {
        let began = Instant::now();
        let Work { frames, time_ns, skew_ns, faults } = work;
        let both = frames.each_ref().map(Option::as_ref);
        result.captured_ns = both.map(|frame| frame.map(|frame| frame.capture_ns));
        result.sequence = both.map(|frame| frame.map(|frame| frame.sequence));
        result.state = ResultState::of(both.map(|frame| frame.is_some()));
        (result.time_ns, result.skew_ns, result.faults) = (time_ns, skew_ns, faults);
        let [infrared, visible] = both;
        result.rate = visible.or(infrared).map_or((0, 1), |frame| frame.rate);
        let arrived = [infrared, visible].into_iter().flatten().map(|frame| frame.arrived).max().unwrap_or(decided);
        result.arrived = arrived;
        result.stages.set(Stage::Pair, decided.saturating_duration_since(arrived));
        result.stages.set(Stage::Queue, began.saturating_duration_since(decided));
        let times = match frames {
            [Some(infrared), Some(visible)] => {
                let inferred = self.fusion.infer(&infrared.view()?, &visible.view()?)?;
                // The cameras get their buffers back before anything else is done.
                drop((infrared, visible));
                inferred.finish(&mut result.image)?
            }
            [Some(frame), None] | [None, Some(frame)] => {
                let times = self.fusion.infer_alone(frame.camera, &frame.view()?)?.finish(&mut result.image)?;
                if self.draw {
                    picture::caption(result);
                }
                times
            }
            [None, None] => {
                let [infrared, visible] = self.ports.each_ref().map(Port::size);
                let since = seen_ns.map_or(0, |seen| time_ns.saturating_sub(seen));
                let since = Duration::from_nanos(u64::try_from(since).unwrap_or(0));
                // A camera that is out has delivered something before.
                let size = visible.or(infrared).unwrap_or_default();
                picture::offline(&mut result.image, size, &faults, since);
                PairTimes::default()
            }
        };
        result.stages.set(Stage::Pre, times.pre);
        result.stages.set(Stage::Infer, times.infer);
        result.stages.set(Stage::Post, times.post);
        result.stages.set(Stage::Read, times.read);
        result.stages.set(Stage::Draw, times.draw);
        result.stages.set(Stage::EndToEnd, arrived.elapsed());
        Ok(())
    }
}
