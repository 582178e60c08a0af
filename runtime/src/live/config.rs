//! What a run needs to know.

use std::sync::Arc;
use std::time::Duration;

use crate::board::Board;
use crate::fusion::FusionSettings;
use crate::pulse::Stuck;
#[cfg(doc)]
use crate::result::ResultState;
use crate::sink::kind::SinkSpec;
use crate::source::clock::Clock;
use crate::source::kind::{Pace, SourceSpec};
use crate::source::report::SourceState;

/// What to run.
#[derive(Clone, Debug)]
pub struct LiveConfig {
    /// The cameras, infrared first.
    pub sources: [SourceSpec; 2],
    /// How late each camera's timestamps are, in nanoseconds.
    pub latency_ns: [i64; 2],
    /// How much later than the source itself tells each camera's frames arrive, in nanoseconds.
    pub delay_ns: [i64; 2],
    /// Frames per second of what has no times of its own.
    pub fps: f64,
    /// Largest difference of capture times within a pair, in nanoseconds.
    pub max_skew_ns: i64,
    /// `None`: real time as soon as one camera is live, else every frame.
    pub pace: Option<Pace>,
    /// Items that each queue holds; in real time the model's holds one, the newest pair.
    pub queue: usize,
    /// How to fuse.
    pub fusion: FusionSettings,
    /// How long a source may say nothing: before its first frame, and afterwards until it is lost.
    pub patience: Duration,
    /// What a lost camera means for the run.
    pub when_lost: WhenLost,
    /// Make results of pairs alone; else, in real time, one camera's frames go on while the other is out.
    pub pairs_only: bool,
    /// Where results go.
    pub sinks: Vec<SinkSpec>,
    /// Stop after this time: of the clock when a source is live, else of the frames.
    pub limit: Option<Duration>,
    /// How long a stage may be at one image before it is stuck.
    pub stuck: Duration,
    /// The time that everything goes by.
    pub clock: Arc<dyn Clock>,
    /// Where the run writes how it is.
    pub board: Arc<Board>,
}

/// What a lost camera means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenLost {
    /// The run ends, and has failed.
    End,
    /// The run goes on without it, and opens it again until it is back. One that is not live ends the run all the same.
    GoOn,
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since the cameras started.
    pub elapsed: Duration,
    /// Pairs fused.
    pub fused: u64,
    /// Results so far, by [`ResultState`].
    pub results: [u64; 4],
    /// How the sources are, infrared first.
    pub sources: [SourceState; 2],
    /// Frames and pairs given up by full queues before the model.
    pub dropped: u64,
    /// The stage that hangs: the run has failed, and takes no more frames, but cannot end before that stage does.
    pub stuck: Option<Stuck>,
    /// Of a run with such a stage: every sink is done.
    pub written: bool,
}
