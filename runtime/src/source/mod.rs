//! Where frames come from.

pub mod clock;
pub mod folder;
pub mod gst;
pub mod timestamps;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::frame::{Camera, Frame, FrameError};
use crate::queue::Lanes;
use clock::RunClock;

/// The two capture queues, infrared first.
pub type Capture = Arc<Lanes<Frame, 2>>;

/// How time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Frames come when they come (or, from files, at their own times); what cannot be kept up with is dropped.
    Realtime,
    /// Files are read as fast as they are used; nothing is dropped.
    EveryFrame,
}

/// Why a camera gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// GStreamer itself does not start.
    #[error("GStreamer does not start: {0}")]
    Gstreamer(String),
    /// The launch string is wrong.
    #[error("{camera} source: the launch string does not parse: {reason}\n  {launch}")]
    Parse {
        /// Which camera.
        camera: &'static str,
        /// GStreamer's reason.
        reason: String,
        /// What was parsed.
        launch: String,
    },
    /// Neither a place nor a launch string.
    #[error("{camera} source: `{text}` is {place}, and no launch string either: {reason}")]
    NoSource {
        /// Which camera.
        camera: &'static str,
        /// What the user wrote.
        text: String,
        /// What there is under that name.
        place: &'static str,
        /// GStreamer's reason.
        reason: String,
    },
    /// The launch string has no place where frames come out, or several.
    #[error("{camera} source: expected one appsink in the launch string, found {found}\n  {launch}")]
    Sinks {
        /// Which camera.
        camera: &'static str,
        /// How many there are.
        found: usize,
        /// What was parsed.
        launch: String,
    },
    /// The pipeline failed.
    #[error("{camera} source: {element}: {reason}{debug}")]
    Pipeline {
        /// Which camera.
        camera: &'static str,
        /// The element that failed.
        element: String,
        /// Its message.
        reason: String,
        /// Its details, on a line of their own.
        debug: String,
    },
    /// The pipeline says neither yes nor no.
    #[error("{camera} source: the pipeline did not start within {} s", patience.as_secs_f64())]
    Timeout {
        /// Which camera.
        camera: &'static str,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The pipeline runs, and nothing comes.
    #[error("{camera} source: no frame came within {} s of the start", patience.as_secs_f64())]
    Silent {
        /// Which camera.
        camera: &'static str,
        /// How long it was waited for.
        patience: Duration,
    },
    /// A folder or a file cannot be read.
    #[error("{path}: {reason}")]
    File {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// A line of `timestamps.csv` is wrong.
    #[error("{path}:{line}: expected {expected}, found `{found}`")]
    Timestamp {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A frame cannot be used.
    #[error("{camera} source: {source}")]
    Frame {
        /// Which camera.
        camera: &'static str,
        /// The cause.
        source: FrameError,
    },
}

/// One source as the user names it.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceSpec {
    /// A GStreamer launch string.
    Launch(String),
    /// A folder of frames.
    Folder(PathBuf),
}

impl SourceSpec {
    /// An existing folder is a folder of frames, an existing file is decoded, anything else is a launch string.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let path = Path::new(text);
        if path.is_dir() {
            return Self::Folder(path.to_path_buf());
        }
        if path.is_file() {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            return Self::Launch(format!("filesrc location=\"{quoted}\" ! decodebin"));
        }
        Self::Launch(text.to_owned())
    }
}

/// What both kinds of source need to know.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// Which camera.
    pub camera: Camera,
    /// How late its timestamps are, in nanoseconds; subtracted from them.
    pub latency_ns: i64,
    /// Frames per second of a folder without `timestamps.csv`.
    pub fps: f64,
    /// How long it may take to start.
    pub patience: Duration,
}

/// An opened source that waits for its start.
pub enum Source {
    /// A GStreamer pipeline.
    Gst(gst::GstSource),
    /// A folder of frames.
    Folder(folder::FolderSource),
}

impl Source {
    /// Opens a source up to the point where it could deliver its first frame.
    pub fn open(spec: &SourceSpec, settings: SourceSettings) -> Result<Self, SourceError> {
        Ok(match spec {
            SourceSpec::Launch(launch) => Self::Gst(gst::GstSource::open(launch, settings)?),
            SourceSpec::Folder(path) => Self::Folder(folder::FolderSource::open(path, settings)?),
        })
    }

    /// True when frames come at their own times whether they are used or not.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Self::Gst(source) => source.is_live(),
            Self::Folder(_) => false,
        }
    }

    /// Lets frames flow into the camera's lane, which is closed when the source ends.
    pub fn start(&mut self, clock: &RunClock, pace: Pace, capture: &Capture) -> Result<(), SourceError> {
        match self {
            Self::Gst(source) => source.start(clock, pace, capture),
            Self::Folder(source) => source.start(clock, pace, capture),
        }
    }

    /// The error that stopped the source, if one did; call it repeatedly.
    pub fn failure(&mut self) -> Option<SourceError> {
        match self {
            Self::Gst(source) => source.failure(),
            Self::Folder(source) => source.failure(),
        }
    }

    /// Stops the source and waits until it no longer delivers; its lane must be closed before.
    pub fn stop(&mut self) {
        match self {
            Self::Gst(source) => source.stop(),
            Self::Folder(source) => source.stop(),
        }
    }
}
