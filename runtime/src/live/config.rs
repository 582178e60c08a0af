//! What a run needs to know, and how it can fail.

use std::time::Duration;

use super::output::OutputFiles;
use crate::fusion::{FusionSettings, PairError};
use crate::sink::SinkError;
use crate::source::{Pace, SourceError, SourceSpec};

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A camera.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A pair, or the settings that all pairs are fused with.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// A file that is written.
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
    /// Frames per second of folders without capture times.
    pub fps: f64,
    /// Largest difference of capture times within a pair, in nanoseconds.
    pub max_skew_ns: i64,
    /// `None`: real time as soon as one camera is live, else every frame.
    pub pace: Option<Pace>,
    /// Items that each queue holds; in real time the model's holds one, the newest pair.
    pub queue: usize,
    /// How to fuse.
    pub fusion: FusionSettings,
    /// How long a source may take to deliver its first frame.
    pub patience: Duration,
    /// Files to write.
    pub files: OutputFiles,
    /// Stop after this time.
    pub limit: Option<Duration>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since the cameras started.
    pub elapsed: Duration,
    /// Pairs fused.
    pub fused: u64,
    /// Pairs written.
    pub written: u64,
    /// Frames and pairs given up by full queues.
    pub dropped: u64,
}

impl LiveError {
    /// True when the call was wrong rather than the work failing.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Source(SourceError::Parse { .. } | SourceError::NoSource { .. } | SourceError::Sinks { .. })
            | Self::Source(SourceError::Timestamp { .. })
            | Self::Sink(SinkError::Container { .. }) => true,
            Self::Pair(error) => error.is_wrong_call(),
            Self::Source(_) | Self::Sink(_) | Self::Stage { .. } | Self::Thread { .. } => false,
        }
    }
}
