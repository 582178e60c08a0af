//! What goes wrong with GStreamer.

use std::path::PathBuf;
use std::time::Duration;

use caf_geometry::Size;
use caf_runtime::frame::{Camera, FrameError};
use caf_runtime::sink::error::SinkError;
use caf_runtime::source::error::SourceError;
use gstreamer as gst;

/// Why GStreamer gives no frames or takes none.
#[derive(Debug, thiserror::Error)]
pub enum GstError {
    /// GStreamer itself does not start.
    #[error("GStreamer does not start: {0}")]
    Start(String),
    /// The launch string is wrong.
    #[error("the launch string does not parse: {reason}\n  {launch}")]
    Parse {
        /// GStreamer's reason, with the packages of elements that are not installed.
        reason: String,
        /// What was parsed.
        launch: String,
    },
    /// Neither a place nor a launch string.
    #[error("`{text}` is {place}, and no launch string either: {reason}")]
    NoSource {
        /// What the user wrote.
        text: String,
        /// What there is under that name.
        place: &'static str,
        /// GStreamer's reason.
        reason: String,
    },
    /// The launch string has several places where frames come out.
    #[error("expected one appsink in the launch string, found {found}\n  {launch}")]
    Sinks {
        /// How many there are.
        found: usize,
        /// What was parsed.
        launch: String,
    },
    /// The pipeline failed.
    #[error("{element}: {reason}{debug}")]
    Pipeline {
        /// The element that failed.
        element: String,
        /// Its message.
        reason: String,
        /// Its details, on a line of their own.
        debug: String,
    },
    /// The pipeline delivers what cannot be converted to frames.
    #[error("{element}: the source delivers a format that cannot be converted to {taken}{debug}")]
    Negotiation {
        /// The element that failed.
        element: String,
        /// The formats that frames are taken in.
        taken: String,
        /// Its details, on a line of their own.
        debug: String,
    },
    /// A part of GStreamer is not installed.
    #[error("GStreamer lacks: {what}{}", packages.iter().map(|p| format!("\n  apt-get install {p}")).collect::<String>())]
    Missing {
        /// What the pipeline needs, in GStreamer's words.
        what: String,
        /// The Debian packages that hold it, as far as they are known.
        packages: Vec<&'static str>,
    },
    /// The pipeline says neither yes nor no.
    #[error("the pipeline did not start within {} s", patience.as_secs_f64())]
    Timeout {
        /// How long it was waited for.
        patience: Duration,
    },
    /// A layout nobody asked for.
    #[error("the camera delivers {found}, expected GRAY8, GRAY16_LE or RGB")]
    Format {
        /// GStreamer's name of what came.
        found: String,
    },
    /// A buffer could not be mapped.
    #[error("the {size} buffer of the camera cannot be read")]
    Map {
        /// Size from the stream's description.
        size: Size,
    },
    /// A buffer does not hold the image it claims.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A video file cannot be written.
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
    #[error("{path}: the video is {expected} pixels and cannot go on with an image of {found}; it ends before it")]
    Size {
        /// The file.
        path: PathBuf,
        /// Size of the video.
        expected: Size,
        /// Size of the frame.
        found: Size,
    },
}

impl GstError {
    /// True when the call was wrong rather than the work failing.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Parse { .. } | Self::NoSource { .. } | Self::Sinks { .. } | Self::Container { .. } => true,
            Self::Start(_)
            | Self::Pipeline { .. }
            | Self::Negotiation { .. }
            | Self::Missing { .. }
            | Self::Timeout { .. }
            | Self::Format { .. }
            | Self::Map { .. }
            | Self::Frame(_)
            | Self::Write { .. }
            | Self::Encoder { .. }
            | Self::Video { .. }
            | Self::Size { .. } => false,
        }
    }

    /// As an error of a camera.
    #[must_use]
    pub fn of(self, camera: Camera) -> SourceError {
        SourceError::Kind { camera, wrong_call: self.is_wrong_call(), source: Box::new(self) }
    }
}

impl From<GstError> for SinkError {
    fn from(error: GstError) -> Self {
        Self::Kind { wrong_call: error.is_wrong_call(), source: Box::new(error) }
    }
}

/// Starts GStreamer; harmless when it runs already.
pub fn initialise() -> Result<(), GstError> {
    gst::init().map_err(|e| GstError::Start(e.to_string()))
}
