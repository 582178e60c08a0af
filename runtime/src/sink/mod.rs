//! Where results go.

pub mod encoder;
pub mod jsonl;
pub mod video;

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
    /// The ending says nothing about the kind of video.
    #[error("{path}: expected a name ending in {expected}, found `{found}`")]
    Container {
        /// The file.
        path: PathBuf,
        /// The endings there are.
        expected: String,
        /// The ending found.
        found: String,
    },
    /// No encoder for that kind of video is installed.
    #[error("{path}: no encoder for .{container} is installed; tried:{tried}")]
    Encoder {
        /// The file.
        path: PathBuf,
        /// The ending.
        container: &'static str,
        /// One line a chain, with what is missing.
        tried: String,
    },
    /// GStreamer fails while it encodes.
    #[error("{path}: {element}: {reason}")]
    Video {
        /// The file.
        path: PathBuf,
        /// The element that failed.
        element: String,
        /// Its message.
        reason: String,
    },
    /// The image changed its size, which a video cannot.
    #[error(
        "{path}: the video is {}x{} pixels and cannot go on with an image of {}x{}; it ends before it",
        expected.0, expected.1, found.0, found.1
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Width and height of the video.
        expected: (usize, usize),
        /// Width and height of the frame.
        found: (usize, usize),
    },
}
