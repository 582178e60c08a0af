//! Puts the stages together and looks after them.

use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use caf_contract::DETECTION;

use super::config::{LiveConfig, Progress, WhenLost};
use super::drift::Drift;
use super::plumbing::{INFER, PAIR, Plumbing};
use super::stages::{CloseAtEnd, Inference, Inferred, Pairing};
use super::summary::{Account, EndedBy, Paired, Summary};
use crate::error::RuntimeError;
use crate::frame::Camera;
use crate::fusion::FrameFusion;
use crate::pair::PairRule;
use crate::result::ResultPool;
use crate::session::Model;
use crate::sink::error::SinkError;
use crate::sink::kind::{Sink, SinkSpec};
use crate::sink::lane::{SinkLane, SinkSummary};
use crate::source::error::SourceError;
use crate::source::keeper::{Keeping, WATCH};
use crate::source::kind::{Pace, Source, SourceSettings};
use crate::source::port::Port;
use crate::source::report::{SourceEvent, SourceState};

/// How often it is written on the board how the run is.
const WRITE: Duration = Duration::from_millis(100);
/// How late a frame may be without its partner being given up, beyond the camera's latency and the bound on skew: what
/// threads and decoders may need.
const JITTER_NS: i64 = 100_000_000;
/// A share of the visible image that the infrared camera should see: with less, the rig is more likely wrong than meant.
const LITTLE_COVERAGE: f64 = 0.5;
/// Frames of one camera that may wait for a partner: two seconds of a late camera at 120 frames a second.
const WINDOW: usize = 256;

/// A run that began, however it ended.
#[derive(Debug)]
pub struct Run {
    /// What it did.
    pub summary: Summary,
    /// What failed, when something did.
    pub failure: Option<RuntimeError>,
}

/// Runs until a source ends, the time is over, `stop` says so or something fails. `watch` is called about forty times a
/// second.
///
/// Files appear when the run is over, complete. When a camera or the model fails in the middle of a run, every file keeps
/// what was fused until then; when a sink fails, the others go on. A run that began gives a summary, whatever happened;
/// nothing else appears of a run without a single pair.
///
/// # Errors
/// What keeps a run from beginning. What fails later is in [`Run::failure`].
pub fn run(
    model: Model,
    config: &LiveConfig,
    stop: &dyn Fn() -> bool,
    watch: &mut dyn FnMut(Progress),
) -> Result<Run, RuntimeError> {
    let (provider, provider_reason) = (model.provider(), model.reason().map(str::to_owned));
    let detects = model.contract().does(&DETECTION);
    let mut fusion = FrameFusion::new(model, &config.fusion)?;
    if let Some(coverage) = fusion.coverage().filter(|c| *c < LITTLE_COVERAGE) {
        let percent = (coverage * 100.0 * 10.0).round() / 10.0;
        tracing::warn!(
            "by the rig, the infrared camera sees {percent} % of the visible image; the rest is fused with black"
        );
    }
    let mut sinks = config.sinks.iter().map(SinkSpec::open).collect::<Result<Vec<_>, _>>()?;
    config.board.write(|status| {
        (status.provider, status.provider_reason) = (Some(provider), provider_reason.clone());
    });
    sinks.iter_mut().for_each(|sink| sink.attend(&config.board));
    if let Some(took) = fusion.warm_up()? {
        tracing::info!(ms = took.as_millis(), "the model is warm");
    }
    let sources = open(config)?;
    let live = sources.each_ref().map(|source| source.is_live());
    let pace = config.pace.unwrap_or(if live.contains(&true) { Pace::Realtime } else { Pace::EveryFrame });

    let plumbing = Plumbing::new(config, pace);
    let mut flow = Flow {
        p: &plumbing,
        config,
        live,
        ended_by: EndedBy::Sources,
        states: None,
        failure: None,
        drift: Drift::new(config.max_skew_ns),
    };
    let (paired, inferred, sinks) = flow.run(sources, fusion, sinks, stop, watch)?;
    let Flow { ended_by, states, failure, drift, .. } = flow;

    let elapsed = plumbing.elapsed(config).as_secs_f64();
    let reports = Camera::BOTH.map(|c| {
        let i = c.index();
        let mut report = plumbing.ports[i].report();
        report.state = states.map_or(report.state, |states| states[i]);
        report
    });
    let account = Account::new(plumbing.capture.counts(), &paired, plumbing.made(), reports);
    let summary = Summary {
        provider,
        provider_reason,
        pace: if pace == Pace::Realtime { "realtime" } else { "every-frame" },
        seconds: elapsed,
        fps: if elapsed > 0.0 { account.results() as f64 / elapsed } else { 0.0 },
        account,
        detections: detects.then_some(inferred.detections),
        skew: inferred.skew.percentiles(),
        stages: inferred.stages.summary(),
        drifts: drift.told,
        sinks,
        ended_by,
        failure: failure.as_ref().map(ToString::to_string),
    };
    Ok(Run { summary, failure })
}

fn open(config: &LiveConfig) -> Result<[Box<dyn Source>; 2], RuntimeError> {
    let open = |camera: Camera| config.sources[camera.index()].open(&settings(config, camera));
    Ok([open(Camera::Infrared)?, open(Camera::Visible)?])
}

fn settings(config: &LiveConfig, camera: Camera) -> SourceSettings {
    let LiveConfig { fps, patience, .. } = *config;
    SourceSettings { camera, latency_ns: config.latency_ns[camera.index()], fps, patience }
}

/// A run on its way.
struct Flow<'a> {
    p: &'a Plumbing,
    config: &'a LiveConfig,
    /// Which source is live: if one is, the clock limits the run, else the times of the frames.
    live: [bool; 2],
    ended_by: EndedBy,
    /// How the sources were when the run took no more frames.
    states: Option<[SourceState; 2]>,
    failure: Option<RuntimeError>,
    drift: Drift,
}

type SinkEnd = (SinkSummary, Option<SinkError>);

impl Flow<'_> {
    /// Starts the stages and the cameras and waits for their end.
    fn run(
        &mut self,
        sources: [Box<dyn Source>; 2],
        fusion: FrameFusion,
        sinks: Vec<Box<dyn Sink>>,
        stop: &dyn Fn() -> bool,
        watch: &mut dyn FnMut(Progress),
    ) -> Result<(Paired, Inferred, Vec<SinkSummary>), RuntimeError> {
        let (p, config) = (self.p, self.config);
        let (queues, cameras) = ((&p.capture, &p.orders), (&*config.clock, &p.ports));
        let degrades = p.pace == Pace::Realtime && !config.pairs_only;
        let mut pairing = Pairing::new(queues, cameras, p.pace, self.rule(), degrades);
        pairing.limit_ns = config.limit.filter(|_| !self.live.contains(&true)).map(nanoseconds);
        pairing.board = Some(&config.board);
        // Where every frame counts the pairing waits for the model, and the model for slow sinks.
        pairing.pulse = (p.pace == Pace::Realtime).then_some(&p.pairs);
        let inference = Inference {
            fusion,
            orders: &p.orders,
            sinks: &p.sinks,
            pool: ResultPool::new(p.results()),
            ports: &p.ports,
            draw: config.fusion.draw,
            made: &p.made,
            board: &config.board,
            pulse: &p.infers,
        };

        std::thread::scope(|scope| {
            // Should this closure end early, the stages end as well, and the scope with them.
            let _closes = (CloseAtEnd(&*p.capture), CloseAtEnd(&p.orders));
            let refused = |stage: &'static str| move |source| RuntimeError::Thread { stage, source };
            let named = |stage: &str| std::thread::Builder::new().name(stage.to_owned());
            let pairing = named(PAIR).spawn_scoped(scope, move || pairing.run()).map_err(refused(PAIR))?;
            let inference = named(INFER).spawn_scoped(scope, move || inference.run()).map_err(refused(INFER))?;
            let mut outputs: Vec<ScopedJoinHandle<'_, SinkEnd>> = Vec::with_capacity(sinks.len());
            for (lane, sink) in p.sinks.iter().zip(sinks) {
                let output = named(lane.name()).spawn_scoped(scope, move || lane.run(sink));
                outputs.push(output.map_err(refused("sink"))?);
            }
            let mut keepers: Vec<ScopedJoinHandle<'_, ()>> = Vec::with_capacity(sources.len());
            for ((mut source, port), spec) in sources.into_iter().zip(&p.ports).zip(&config.sources) {
                let camera = port.camera();
                if config.when_lost == WhenLost::GoOn && source.can_return() {
                    port.keep();
                }
                if let Err(error) = source.start(port.clone(), p.pace) {
                    self.fail(EndedBy::Failure, error.into());
                }
                let keeping = Keeping { spec, settings: settings(config, camera), pace: p.pace };
                let keeper = named(camera.name()).spawn_scoped(scope, move || keeping.keep(source, port));
                keepers.push(keeper.map_err(refused("source"))?);
            }
            let mut written: Option<Instant> = None;
            while !(pairing.is_finished() && inference.is_finished() && outputs.iter().all(|o| o.is_finished())) {
                self.look_after();
                let over = self.live.contains(&true) && config.limit.is_some_and(|limit| p.elapsed(config) >= limit);
                if (over || stop()) && p.capturing() {
                    self.end(if over { EndedBy::Seconds } else { EndedBy::Interrupt });
                }
                let mut progress = p.progress(config);
                if let Some(stuck) = progress.stuck {
                    // Nothing ends a thread that hangs; whoever runs this ends the program, when every sink is done.
                    self.fail(EndedBy::Failure, RuntimeError::Stuck(stuck));
                    p.sinks.iter().for_each(SinkLane::close);
                    progress.written = outputs.iter().all(|o| o.is_finished());
                }
                watch(progress);
                if written.is_none_or(|at| at.elapsed() >= WRITE) {
                    written = Some(Instant::now());
                    config.board.write(|status| p.write(config, status));
                }
                std::thread::sleep(WATCH);
            }
            p.capture.close_all();
            for keeper in keepers {
                keeper.join().map_err(|_| RuntimeError::Stage { stage: "source" })?;
            }
            // A source that failed just before everything ended still failed.
            self.look_after();
            let paired = pairing.join().map_err(|_| RuntimeError::Stage { stage: PAIR })?;
            let mut inferred = inference.join().map_err(|_| RuntimeError::Stage { stage: INFER })?;
            if self.failure.is_none() && self.ended_by == EndedBy::Sources && paired.beyond_limit != [0; 2] {
                self.ended_by = EndedBy::Seconds;
            }
            // In the order of the data, the first failure is the one that the others followed from.
            if let Some(error) = inferred.failure.take() {
                self.fail(EndedBy::Failure, error);
            }
            let mut summaries = vec![];
            for (lane, output) in p.sinks.iter().zip(outputs) {
                let (mut summary, failure) = output.join().map_err(|_| RuntimeError::Stage { stage: "sink" })?;
                summary.missed = lane.missed();
                summaries.push(summary);
                if let Some(error) = failure {
                    self.failure.get_or_insert(error.into());
                }
            }
            if !summaries.is_empty() && summaries.iter().all(|s| s.missed > 0) {
                self.ended_by = EndedBy::Failure;
            }
            Ok((paired, inferred, summaries))
        })
    }

    fn rule(&self) -> PairRule {
        let config = self.config;
        let patience = |camera: Camera| {
            let i = camera.index();
            let late = config.latency_ns[i].saturating_add(config.delay_ns[i]);
            late.saturating_add(config.max_skew_ns).saturating_add(JITTER_NS).max(0)
        };
        PairRule { max_skew_ns: config.max_skew_ns, patience_ns: Camera::BOTH.map(patience), window: WINDOW }
    }

    /// Takes no more frames; what waits is still fused.
    fn end(&mut self, by: EndedBy) {
        self.ended_by = by;
        self.states.get_or_insert_with(|| self.p.ports.each_ref().map(|port| port.state()));
        self.p.capture.close_all();
    }

    /// Ends because of an error; the first one counts.
    fn fail(&mut self, by: EndedBy, error: RuntimeError) {
        if self.failure.is_none() {
            self.failure = Some(error);
            self.end(by);
        }
    }

    /// Tells what changed at the sources.
    fn look_after(&mut self) {
        for (port, live) in self.p.ports.iter().zip(self.live) {
            // What is not live has told all it had.
            let goes_on = live && self.config.when_lost == WhenLost::GoOn;
            let name = port.camera().name();
            while let Some(event) = port.news() {
                match event {
                    SourceEvent::Up { again: true } => tracing::warn!("the {name} camera is back"),
                    SourceEvent::Lost { reason } if goes_on => {
                        tracing::warn!("the {name} camera is lost: {reason}");
                    }
                    SourceEvent::Lost { reason } => {
                        self.fail(EndedBy::Lost, SourceError::Lost { camera: port.camera(), reason }.into());
                    }
                    SourceEvent::NotBack { reason } => tracing::warn!("the {name} camera is not back: {reason}"),
                    SourceEvent::ClockJumped { by_ns, untold } => {
                        let seconds = by_ns as f64 / 1e9;
                        let before =
                            if untold == 0 { String::new() } else { format!(" ({untold} more since that was said)") };
                        tracing::warn!(
                            "the clock of the {name} camera has jumped by {seconds:.3} s{before}; its times are mended"
                        );
                    }
                    SourceEvent::Up { again: false } | SourceEvent::Ended => {}
                }
            }
            if let Some(error) = port.failure() {
                self.fail(EndedBy::Failure, error.into());
            }
        }
        if let Some(apart) = self.drift.look(self.p.ports.each_ref().map(Port::drift_ns)) {
            let ms = apart as f64 / 1e6;
            tracing::warn!(
                "the clocks of the two cameras drift: the visible times are {ms:.1} ms off since both were opened"
            );
        }
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
