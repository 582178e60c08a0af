//! Why images are not fused: the one error of this crate. What sources and sinks fail with, and what makes no image, are causes.

use std::fmt::Write as _;
use std::path::PathBuf;

use caf_contract::Mismatch;
use caf_engine::EngineError;
use caf_geometry::{GeometryError, Size};
use caf_image::ImageError;
use caf_rig::RigError;

use crate::frame::FrameError;
use crate::pulse::Stuck;
use crate::sink::error::SinkError;
use crate::source::error::SourceError;

/// Offenders printed; the rest is only counted.
const PRINTED: usize = 50;

/// Why images are not fused.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A camera.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A sink, or a file of detections.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The engine refuses the model or fails.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The model does not fuse.
    #[error("{path}: expected a model that fuses pairs, found one that only {found}: export it with --fusion")]
    NoFusion {
        /// The model.
        path: PathBuf,
        /// What it does.
        found: String,
    },
    /// The images do not fit the model.
    #[error("the images do not fit the model: {0}")]
    Images(Mismatch),
    /// The images are of another size than the one that the model is fixed to.
    #[error(
        "the model is fixed to images of {expected}, found {found}: scale them, or export the model without --size, which gives \
         one for images of every size"
    )]
    FixedSize {
        /// The model's.
        expected: Size,
        /// The images'.
        found: Size,
    },
    /// The rig is impossible.
    #[error("the rig cannot be used: {0}")]
    Rig(#[from] RigError),
    /// The images are of different sizes and nothing aligns them.
    #[error(
        "the infrared image is {infrared} pixels and the visible one {visible}: scale one of them, in a launch string by \
         `! videoscale ! video/x-raw,width={},height={}`, or name with --rig the geometry that aligns them",
        visible.width, visible.height
    )]
    Sizes {
        /// Size of the infrared image, after alignment.
        infrared: Size,
        /// Size of the visible image.
        visible: Size,
    },
    /// The detector's settings or its rows are wrong.
    #[error(transparent)]
    Detect(#[from] GeometryError),
    /// An image cannot be used.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A pair of files.
    #[error("{name}: {source}")]
    Named {
        /// What both files are called.
        name: String,
        /// The cause.
        source: Box<RuntimeError>,
    },
    /// The images of two folders do not fit together, or cannot be read.
    #[error("{} of the two folders' images cannot be fused:{}", offenders.len(), list(offenders))]
    Offenders {
        /// One line an offender.
        offenders: Vec<String>,
    },
    /// There is nothing to do.
    #[error("{ir} and {vi} hold no images")]
    Empty {
        /// Infrared folder.
        ir: PathBuf,
        /// Visible folder.
        vi: PathBuf,
    },
    /// Results of a task were asked of a model that only fuses.
    #[error("detections or a class map were asked for, and the model only fuses: export it with --task")]
    NoTask,
    /// Class maps were asked of a model that does not segment.
    #[error("class maps were asked for, and the model does not segment: export it with a segmentation as --task")]
    NoSegmentation,
    /// An image cannot be read or written.
    #[error(transparent)]
    File(#[from] ImageError),
    /// A stage panicked.
    #[error("the {stage} stage ended with an internal error (a bug in this program)")]
    Stage {
        /// Which stage.
        stage: &'static str,
    },
    /// A stage hangs.
    #[error("{0} (a driver that hangs, or --stuck-s is too short for this machine)")]
    Stuck(Stuck),
    /// The system gives no thread.
    #[error("no thread for the {stage} stage: {source}")]
    Thread {
        /// Which stage.
        stage: &'static str,
        /// The cause.
        source: std::io::Error,
    },
}

impl RuntimeError {
    /// True when the call was wrong rather than the work failing.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::NoFusion { .. } | Self::NoTask | Self::NoSegmentation => true,
            Self::Source(error) => error.is_wrong_call(),
            Self::Sink(error) => error.is_wrong_call(),
            Self::Engine(error) => error.is_wrong_call(),
            Self::Rig(error) => error.is_wrong_call(),
            Self::Detect(error) => error.is_wrong_call(),
            Self::Named { source, .. } => source.is_wrong_call(),
            Self::File(error) => error.is_wrong_call(),
            Self::Images(_)
            | Self::FixedSize { .. }
            | Self::Sizes { .. }
            | Self::Frame(_)
            | Self::Offenders { .. }
            | Self::Empty { .. }
            | Self::Stage { .. }
            | Self::Stuck(_)
            | Self::Thread { .. } => false,
        }
    }
}

fn list(offenders: &[String]) -> String {
    let mut text = String::new();
    for offender in offenders.iter().take(PRINTED) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {offender}");
    }
    if offenders.len() > PRINTED {
        let _ = write!(text, "\n  and {} more", offenders.len() - PRINTED);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_offenders_are_counted() {
        let offenders = (0..PRINTED + 3).map(|i| format!("image {i}")).collect();
        let text = RuntimeError::Offenders { offenders }.to_string();
        assert!(text.starts_with("53 of the two folders' images cannot be fused:\n  image 0\n"), "{text}");
        assert!(text.ends_with("\n  image 49\n  and 3 more"), "{text}");
    }
}
