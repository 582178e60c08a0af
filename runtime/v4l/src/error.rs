//! What goes wrong with a camera of Video4Linux.

use std::path::PathBuf;

use caf_geometry::Size;
use caf_runtime::frame::{Camera, FrameError};
use caf_runtime::source::error::SourceError;

use super::device::{Errno, FourCc, Identity};
use super::stream::StreamError;

/// Why a camera gives no frames.
#[derive(Debug, thiserror::Error)]
pub enum V4lError {
    /// The text does not name a camera.
    #[error(
        "`{text}`: {reason}; expected v4l2:NODE?format=CODE&size=WxH&fps=N&CONTROL=VALUE, all but the node as you like"
    )]
    Text {
        /// What the user wrote.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The node cannot be opened.
    #[error("{path}: {}", unopened(*errno))]
    Open {
        /// The node.
        path: PathBuf,
        /// Why.
        errno: Errno,
    },
    /// The node gives no images.
    #[error(
        "{path}: {identity} gives no images that can be streamed (cameras have other nodes too, for their metadata)"
    )]
    NoImages {
        /// The node.
        path: PathBuf,
        /// What it is.
        identity: Box<Identity>,
    },
    /// Another camera has the name now.
    #[error("{path} is now {found}, expected {expected}")]
    OtherCamera {
        /// The node.
        path: PathBuf,
        /// Which camera was there.
        expected: Box<Identity>,
        /// Which is.
        found: Box<Identity>,
    },
    /// The driver refuses a call.
    #[error("{call} fails: {errno}{}", if *errno == Errno::BUSY { " (another program uses the camera)" } else { "" })]
    Call {
        /// Which.
        call: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The camera does not have the format.
    #[error("the camera has no format {asked}, it offers {}", list(offered))]
    Format {
        /// What was asked for.
        asked: FourCc,
        /// What there is.
        offered: Vec<FourCc>,
    },
    /// None of the camera's formats is read.
    #[error("the camera offers {}, none of which is read here; a GStreamer launch string may", list(offered))]
    NoFormat {
        /// What there is.
        offered: Vec<FourCc>,
    },
    /// A format that is not read.
    #[error("the format {code} is not read here; a GStreamer launch string may")]
    Unread {
        /// The format.
        code: FourCc,
    },
    /// Half images.
    #[error("the format {code} comes as one field in each buffer, which makes no image")]
    Fields {
        /// The format.
        code: FourCc,
    },
    /// What the driver says of its format cannot be.
    #[error("the driver's {size} image of {code} cannot be: {what}")]
    Layout {
        /// The format.
        code: FourCc,
        /// Its size.
        size: Size,
        /// What cannot be.
        what: String,
    },
    /// The camera does not have the size.
    #[error("the camera has no {asked} images of {code}, the nearest is {found}")]
    Size {
        /// The format.
        code: FourCc,
        /// What was asked for.
        asked: Size,
        /// What the driver made of it.
        found: Size,
    },
    /// The camera does not have the rate.
    #[error("the camera does not deliver {asked} frames a second, {}", found.map_or("and cannot be told a rate".to_owned(), |fps| format!("the nearest is {fps:.3}")))]
    Rate {
        /// What was asked for.
        asked: f64,
        /// What the driver made of it.
        found: Option<f64>,
    },
    /// The camera does not have the control.
    #[error("the camera has no control `{name}`; it has {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    Control {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The control does not take the value.
    #[error("control {name}: expected {expected}, found `{value}`")]
    ControlValue {
        /// The control.
        name: String,
        /// What it takes.
        expected: String,
        /// What was asked for.
        value: String,
    },
    /// The control is not set.
    #[error("control {name} cannot be set to {value}: {errno}")]
    ControlSet {
        /// The control.
        name: String,
        /// The value.
        value: i32,
        /// Why.
        errno: Errno,
    },
    /// Streaming fails.
    #[error("the camera does not stream: {0}")]
    Stream(#[from] StreamError),
    /// Nothing comes.
    #[error("no frame came for {seconds} s")]
    Stalled {
        /// How long it was waited for.
        seconds: f64,
    },
    /// A frame is no image.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

fn unopened(errno: Errno) -> String {
    match errno {
        Errno::NOTTY => "no camera of Video4Linux".to_owned(),
        Errno::ACCESS | Errno::PERM => format!("{errno} (members of the group `video` may use cameras)"),
        errno => errno.to_string(),
    }
}

fn list(codes: &[FourCc]) -> String {
    if codes.is_empty() {
        return "none".to_owned();
    }
    codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl V4lError {
    /// From the answer to a call.
    pub fn call(call: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Call { call, errno }
    }

    /// True when the call was wrong rather than the camera failing. What a camera has and has not is a matter of the machine.
    #[must_use]
    pub const fn is_wrong_call(&self) -> bool {
        matches!(self, Self::Text { .. })
    }

    /// As an error of a camera.
    #[must_use]
    pub fn of(self, camera: Camera) -> SourceError {
        SourceError::Kind { camera, wrong_call: self.is_wrong_call(), source: Box::new(self) }
    }
}
