//! Why a result cannot be kept.

use std::path::PathBuf;

/// Why a result cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A file cannot be written.
    #[error("{path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A kind of sink with errors of its own.
    #[error("{source}")]
    Kind {
        /// Whether the call was wrong rather than the sink failing.
        wrong_call: bool,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SinkError {
    /// True when the call was wrong rather than the sink failing.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Write { .. } => false,
            Self::Kind { wrong_call, .. } => *wrong_call,
        }
    }
}
