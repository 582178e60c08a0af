//! Why a camera gives nothing.

use std::path::PathBuf;
use std::time::Duration;

use caf_image::ImageError;

use crate::frame::{Camera, FrameError};

/// Why a camera gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No kind of source is named like that.
    #[error("{} source: `{text}` is none of these: {}", camera.name(), kinds.join(", "))]
    NoKind {
        /// Which camera.
        camera: Camera,
        /// What the user wrote.
        text: String,
        /// The kinds of source there are.
        kinds: Vec<&'static str>,
    },
    /// The source runs, and nothing comes.
    #[error("{} source: no frame came within {} s of the start", camera.name(), patience.as_secs_f64())]
    Silent {
        /// Which camera.
        camera: Camera,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The source delivered frames and does so no more.
    #[error("{} source: the camera is lost: {reason}", camera.name())]
    Lost {
        /// Which camera.
        camera: Camera,
        /// How it was noticed.
        reason: String,
    },
    /// A folder or a file cannot be read.
    #[error("{path}: {reason}")]
    File {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// A folder is no recording.
    #[error(transparent)]
    Recording(ImageError),
    /// A frame cannot be used.
    #[error("{} source: {source}", camera.name())]
    Frame {
        /// Which camera.
        camera: Camera,
        /// The cause.
        source: FrameError,
    },
    /// The system gives no thread to read with.
    #[error("{} source: no thread for its reader: {source}", camera.name())]
    Thread {
        /// Which camera.
        camera: Camera,
        /// The cause.
        source: std::io::Error,
    },
    /// A kind of source with errors of its own.
    #[error("{} source: {source}", camera.name())]
    Kind {
        /// Which camera.
        camera: Camera,
        /// Whether the call was wrong rather than the source failing.
        wrong_call: bool,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SourceError {
    /// True when the call was wrong rather than the source failing.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::NoKind { .. } => true,
            Self::Recording(error) => error.is_wrong_call(),
            Self::Kind { wrong_call, .. } => *wrong_call,
            Self::Silent { .. } | Self::Lost { .. } | Self::File { .. } | Self::Frame { .. } | Self::Thread { .. } => {
                false
            }
        }
    }
}
