//! Puts the stages together and looks after them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use caf_console::StopFlag;

use super::config::{LiveConfig, LiveError, Progress};
use super::output::{Output, Sinks, Written};
use super::slot::Slot;
use super::stages::{CloseAtEnd, Inference, Paired, Pairing};
use super::summary::{CameraSummary, EndedBy, PairSummary, Summary};
use crate::frame::Camera;
use crate::fusion::FrameFusion;
use crate::pair::PairRule;
use crate::queue::{Lanes, Queue, WhenFull};
use crate::session::Model;
use crate::sink::video::VideoSink;
use crate::source::clock::RunClock;
use crate::source::{Capture, Pace, Source, SourceError, SourceSettings, gst};

/// How often the run is looked after.
const WATCH: Duration = Duration::from_millis(25);
/// How late a frame may be without its partner being given up, beyond the camera's latency and the bound on skew: what
/// threads and decoders may need.
const JITTER_NS: i64 = 100_000_000;
/// A share of the visible image that the infrared camera should see: with less, the rig is more likely wrong than meant.
const LITTLE_COVERAGE: f64 = 0.5;
/// Frames of one camera that may wait for a partner.
const WINDOW: usize = 64;

/// Everything that the stages share.
struct Plumbing {
    clock: RunClock,
    began: Instant,
    pace: Pace,
    capture: Capture,
    pairs: Queue<super::stages::Pair>,
    results: Queue<Slot>,
    free: Queue<Slot>,
    fused: AtomicU64,
    written: AtomicU64,
}

impl Plumbing {
    fn new(pace: Pace, queue: usize) -> Self {
        let when_full = if pace == Pace::Realtime { WhenFull::DropOldest } else { WhenFull::Wait };
        // In real time only the newest pair may wait for the model: every place more would add a frame's time to the delay.
        let waiting_pairs = if pace == Pace::Realtime { 1 } else { queue };
        // One slot in each stage and one in each place of the queue: the model never waits for one.
        let slots = queue.max(1) + 2;
        let free = Queue::new(slots, WhenFull::Wait);
        (0..slots).for_each(|_| drop(free.push(0, Slot::default())));
        Self {
            clock: RunClock::start(),
            began: Instant::now(),
            pace,
            capture: Arc::new(Lanes::new(queue, when_full)),
            pairs: Queue::new(waiting_pairs, when_full),
            results: Queue::new(queue, when_full),
            free,
            fused: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }
    }

    fn progress(&self) -> Progress {
        let captured: u64 = self.capture.counts().iter().map(|c| c.dropped).sum();
        Progress {
            elapsed: self.began.elapsed(),
            fused: self.fused.load(Ordering::Relaxed),
            written: self.written.load(Ordering::Relaxed),
            dropped: captured + self.pairs.count().dropped + self.results.count().dropped,
        }
    }

    /// A camera that has not ended and whose first frame is overdue.
    fn silence(&self, patience: Duration) -> Option<SourceError> {
        if self.began.elapsed() < patience {
            return None;
        }
        let counts = self.capture.counts();
        let silent = |c: &Camera| counts[c.index()].pushed == 0 && !self.capture.is_closed(c.index());
        Camera::BOTH.into_iter().find(silent).map(|c| SourceError::Silent { camera: c.name(), patience })
    }

    fn capturing(&self) -> bool {
        Camera::BOTH.iter().any(|c| !self.capture.is_closed(c.index()))
    }
}

/// Runs until a source ends, the time is over, `stop` is raised or something fails. `watch` is called about forty
/// times a second.
///
/// Files appear when the run is over, complete. When a camera, the model or a sink fails in the middle of a run, every other
/// file keeps what was fused until then, and the error is returned; nothing appears of a run without a single pair.
pub fn run(
    model: Model,
    config: &LiveConfig,
    stop: &StopFlag,
    watch: &mut dyn FnMut(Progress),
) -> Result<Summary, LiveError> {
    gst::initialise()?;
    let (provider, provider_reason) = (model.provider(), model.reason().map(str::to_owned));
    let mut fusion = FrameFusion::new(model, &config.fusion)?;
    if let Some(coverage) = fusion.coverage().filter(|c| *c < LITTLE_COVERAGE) {
        let percent = (coverage * 100.0 * 10.0).round() / 10.0;
        tracing::warn!(
            "by the rig, the infrared camera sees {percent} % of the visible image; the rest is fused with black"
        );
    }
    let sinks = config.files.open(fusion.classes().unwrap_or_default().to_vec())?;
    let encoder = sinks.video.as_ref().map(VideoSink::encoder);
    if let Some(took) = fusion.warm_up()? {
        tracing::info!(ms = took.as_millis(), "the model is warm");
    }
    let mut sources = open(config)?;
    let live = sources.iter().any(Source::is_live);
    let pace = config.pace.unwrap_or(if live { Pace::Realtime } else { Pace::EveryFrame });

    let plumbing = Plumbing::new(pace, config.queue);
    let (paired, written, ended_by) = flow(&plumbing, config, &mut sources, (fusion, sinks), stop, watch)?;

    let elapsed = plumbing.began.elapsed().as_secs_f64();
    let lanes = plumbing.capture.counts();
    let [infrared, visible] = [0, 1].map(|i| CameraSummary::new(lanes[i], paired.counts[i]));
    Ok(Summary {
        provider,
        provider_reason,
        pace: if pace == Pace::Realtime { "realtime" } else { "every-frame" },
        seconds: elapsed,
        fps: if elapsed > 0.0 { written.pairs as f64 / elapsed } else { 0.0 },
        infrared,
        visible,
        pairs: PairSummary {
            paired: infrared.pairing.paired,
            dropped_before_inference: plumbing.pairs.count().dropped,
            fused: plumbing.fused.load(Ordering::Relaxed),
            dropped_before_sinks: plumbing.results.count().dropped,
            written: written.pairs,
        },
        detections: written.detections,
        skew: written.skew.percentiles(),
        stages: written.stages.summary(),
        video: config.files.video.clone().filter(|_| written.video),
        encoder: encoder.filter(|_| written.video),
        ended_by,
    })
}

fn open(config: &LiveConfig) -> Result<[Source; 2], LiveError> {
    let [ir, vi] = &config.sources;
    let [ir_latency, vi_latency] = config.latency_ns;
    let settings =
        |camera, latency_ns| SourceSettings { camera, latency_ns, fps: config.fps, patience: config.patience };
    Ok([
        Source::open(ir, settings(Camera::Infrared, ir_latency))?,
        Source::open(vi, settings(Camera::Visible, vi_latency))?,
    ])
}

/// Starts the stages and the cameras and waits for their end.
fn flow(
    p: &Plumbing,
    config: &LiveConfig,
    sources: &mut [Source; 2],
    (fusion, sinks): (FrameFusion, Sinks),
    stop: &StopFlag,
    watch: &mut dyn FnMut(Progress),
) -> Result<(Paired, Written, EndedBy), LiveError> {
    let patience_ns = config.latency_ns.map(|l| l.saturating_add(config.max_skew_ns).saturating_add(JITTER_NS).max(0));
    let pairing = Pairing {
        capture: &p.capture,
        pairs: &p.pairs,
        clock: &p.clock,
        pace: p.pace,
        rule: PairRule { max_skew_ns: config.max_skew_ns, patience_ns, window: WINDOW },
        limit_ns: config.limit.filter(|_| p.pace == Pace::EveryFrame).map(nanoseconds),
    };
    let (pairs, free, results) = (&p.pairs, &p.free, &p.results);
    let inference = Inference { fusion, pairs, free, results, fused: &p.fused };
    let output = Output { sinks, results, free, written: &p.written };

    std::thread::scope(|scope| {
        // Should this closure end early, the stages end as well, and the scope with them.
        let _closes = (CloseAtEnd(&*p.capture), CloseAtEnd(&p.pairs), CloseAtEnd(&p.results));
        let refused = |stage: &'static str| move |source| LiveError::Thread { stage, source };
        let named = |stage: &str| std::thread::Builder::new().name(stage.to_owned());
        let pairing = named("pair").spawn_scoped(scope, move || pairing.run()).map_err(refused("pair"))?;
        let inference = named("infer").spawn_scoped(scope, move || inference.run()).map_err(refused("infer"))?;
        let output = named("sink").spawn_scoped(scope, move || output.run()).map_err(refused("sink"))?;

        let mut failure = None;
        let mut ended_by = EndedBy::Sources;
        for source in sources.iter_mut() {
            if let Err(error) = source.start(&p.clock, p.pace, &p.capture) {
                failure.get_or_insert(error);
                p.capture.close_all();
            }
        }
        while !output.is_finished() {
            if let Some(error) = sources.iter_mut().find_map(Source::failure).or_else(|| p.silence(config.patience)) {
                failure.get_or_insert(error);
                p.capture.close_all();
            }
            let over = p.pace == Pace::Realtime && config.limit.is_some_and(|limit| p.began.elapsed() >= limit);
            if (over || stop.is_raised()) && p.capturing() {
                ended_by = if over { EndedBy::Seconds } else { EndedBy::Interrupt };
                p.capture.close_all();
            }
            watch(p.progress());
            std::thread::sleep(WATCH);
        }
        p.capture.close_all();
        // A source that failed just before everything ended still failed.
        if let Some(error) = sources.iter_mut().find_map(Source::failure) {
            failure.get_or_insert(error);
        }
        sources.iter_mut().for_each(Source::stop);
        let paired = pairing.join().map_err(|_| LiveError::Stage { stage: "pair" })?;
        let inferred = inference.join().map_err(|_| LiveError::Stage { stage: "infer" })?;
        let written = output.join().map_err(|_| LiveError::Stage { stage: "sink" })?;
        // In the order of the data, the first failure is the one that the others followed from.
        if let Some(error) = failure {
            return Err(error.into());
        }
        inferred?;
        let ended_by = if paired.limit_reached { EndedBy::Seconds } else { ended_by };
        Ok((paired, written?, ended_by))
    })
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
