//! What a run needs to know, and how it can fail.

use std::time::Duration;

use caf_detect::{DetectError, NmsSettings};
use caf_rig::{Rig, RigError};

use super::output::OutputFiles;
use crate::align::AlignError;
use crate::frame::FrameError;
use crate::pixels::PixelError;
use crate::session::SessionError;
use crate::sink::SinkError;
use crate::source::{Pace, SourceError, SourceSpec};

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A camera.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The model.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A file that is written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The rig.
    #[error("the rig cannot be used: {0}")]
    Rig(#[from] RigError),
    /// An infrared image does not fit the rig.
    #[error(transparent)]
    Align(#[from] AlignError),
    /// A setting of the detector.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// A frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Pixels and tensors do not fit.
    #[error(transparent)]
    Pixels(#[from] PixelError),
    /// The cameras see different areas.
    #[error(
        "the infrared image is {}x{} pixels and the visible one {}x{}: name a rig that aligns them, or scale one in its launch string",
        infrared.0, infrared.1, visible.0, visible.1
    )]
    Sizes {
        /// Width and height of the infrared image, after alignment.
        infrared: (usize, usize),
        /// Width and height of the visible image.
        visible: (usize, usize),
    },
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
    /// Geometry, and the distance in metres at which the images should match.
    pub rig: Option<(Rig, f64)>,
    /// Thresholds of the detector.
    pub nms: NmsSettings,
    /// Paint boxes and labels.
    pub draw: bool,
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
            Self::Source(SourceError::Parse { .. } | SourceError::Sinks { .. } | SourceError::Timestamp { .. })
            | Self::Sink(SinkError::Container { .. })
            | Self::Detect(DetectError::Setting { .. }) => true,
            Self::Source(_)
            | Self::Session(_)
            | Self::Sink(_)
            | Self::Rig(_)
            | Self::Align(_)
            | Self::Detect(_)
            | Self::Frame(_)
            | Self::Pixels(_)
            | Self::Sizes { .. }
            | Self::Stage { .. }
            | Self::Thread { .. } => false,
        }
    }
}
