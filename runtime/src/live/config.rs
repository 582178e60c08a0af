//! What a run needs to know, and how it can fail.

use std::sync::Arc;
use std::time::Duration;

use crate::fusion::{FusionSettings, PairError};
use crate::sink::kind::{SinkError, SinkSpec};
use crate::source::clock::Clock;
use crate::source::error::SourceError;
use crate::source::kind::{Pace, SourceSpec};

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A camera.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A pair, or the settings that all pairs are fused with.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// A sink.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A stage panicked.
    #[error("the {stage} stage ended by a defect of this program")]
    Stage {
        /// Which stage.
        stage: &'static str,
    },
    /// The system gives no thread.
    #[error("no thread for the {stage} stage: {source}")]
    Thread {
        /// Which stage.
        stage: &'static str,
        /// The cause.
        source: std::io::Error,
    },
}

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
    /// Where results go.
    pub sinks: Vec<SinkSpec>,
    /// Stop after this time: of the clock when a source is live, else of the frames.
    pub limit: Option<Duration>,
    /// The time that everything goes by.
    pub clock: Arc<dyn Clock>,
}

/// What a lost camera means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenLost {
    /// The run ends, and has failed.
    End,
    /// The run goes on without pairs until the camera is back.
    Wait,
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since the cameras started.
    pub elapsed: Duration,
    /// Pairs fused.
    pub fused: u64,
    /// Frames and pairs given up by full queues before the model.
    pub dropped: u64,
}

impl LiveError {
    /// True when the call was wrong rather than the work failing.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Source(error) => error.is_wrong_call(),
            Self::Pair(error) => error.is_wrong_call(),
            Self::Sink(error) => error.is_wrong_call(),
            Self::Stage { .. } | Self::Thread { .. } => false,
        }
    }
}
