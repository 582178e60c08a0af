//! Why no rig is found.

use std::path::PathBuf;

use caf_geometry::Size;
use caf_image::{ImageError, ImageProblem};
use caf_report::ReportError;
use caf_rig::RigError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum CalibError {
    /// A folder or an image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The rig file.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// A page.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A folder that cannot be made.
    #[error("{}: cannot make the folder", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Files of an earlier calibration that cannot be replaced.
    #[error("{}: cannot be replaced by what was found now", path.display())]
    Replace {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Everything in the folders that does not fit, at once.
    #[error("{} of the files do not fit:\n{}", .0.len(), lines(.0))]
    Problems(Vec<ImageProblem>),
    /// Images of one camera that differ in size.
    #[error(
        "{}: expected {expected} pixels as the first {camera} image, found {found}; record with the same cameras \
         at the same settings from first to last", path.display()
    )]
    OtherSize {
        /// `infrared` or `visible`.
        camera: &'static str,
        /// The first image that differs.
        path: PathBuf,
        /// Size of the camera's first image.
        expected: Size,
        /// Its own.
        found: Size,
    },
    /// A rig that does not say how well it is known, as one typed by hand or with a pose.
    #[error("the rig does not say how well it is known: expected --rig-px, how far its corners may be off")]
    NoDeviation,
    /// Images too small to find anything in.
    #[error(
        "the {camera} images: expected at least {least} pixels on each side, found {found}; record at the camera's full size"
    )]
    TooSmall {
        /// `infrared` or `visible`.
        camera: &'static str,
        /// The least side.
        least: usize,
        /// The size.
        found: Size,
    },
    /// Not enough pairs that can be used.
    #[error(
        "{usable} usable pairs: expected at least {least}, of different scenes{}; record ten or more, some seconds apart while driving, by \
         day, with buildings, trees or poles all over the picture",
        told(set_aside)
    )]
    TooFew {
        /// Pairs that can be used.
        usable: usize,
        /// Pairs that are needed.
        least: usize,
        /// Pairs that cannot, each with its reason.
        set_aside: Vec<String>,
    },
    /// A camera that shows the same in all pairs.
    #[error(
        "the {camera} camera shows the same image in all {pairs} pairs: it was frozen, or the vehicle stood still; record ten or more pairs \
         some seconds apart while driving, and look whether the camera delivers new frames"
    )]
    Frozen {
        /// `infrared` or `visible`.
        camera: &'static str,
        /// Pairs looked at.
        pairs: usize,
    },
    /// The images of the two cameras have nothing in common, or not enough to say how.
    #[error(
        "no map holds: {reason}; no rig was written. Record pairs in which both cameras see the same scene at the same moment, with \
         buildings, trees or poles all over the picture; if the images differ in scale by more than 15 %, say by how much"
    )]
    NotHeld {
        /// What was expected and found.
        reason: String,
    },
    /// Images of other cameras than those of a rig.
    #[error("--rig: expected {camera} images of {expected} pixels, found {found}")]
    NotOfRig {
        /// `infrared` or `visible`.
        camera: &'static str,
        /// Size in the rig.
        expected: Size,
        /// Size of the images.
        found: Size,
    },
    /// A recording that does not say whether a rig holds.
    #[error(
        "no answer: {reason}; this does not say that the rig holds. Record by day while driving, with buildings, trees or poles all over the \
         picture, look whether both cameras deliver new frames, and ask again"
    )]
    NoAnswer {
        /// What was expected and found.
        reason: String,
    },
    /// A clip in which nothing moves.
    #[error(
        "nothing moves before the {camera} camera: a latency cannot be seen; record ten seconds or more while driving or turning the \
         vehicle, or with people and vehicles that pass before both cameras at different times"
    )]
    Still {
        /// `infrared` or `visible`.
        camera: &'static str,
    },
    /// Clips that are too short, or of different times.
    #[error(
        "the recording is too short: {reason}; record both cameras for twenty seconds at the same time, with timestamps of one clock"
    )]
    ShortClip {
        /// What was expected and found.
        reason: String,
    },
    /// No latency fits the motion, or more than one.
    #[error(
        "no latency holds: {reason}; record ten seconds or more in which both cameras see the same things move at irregular times, and \
         give the cameras' --rig if their images are not aligned"
    )]
    NoLatency {
        /// What was expected and found.
        reason: String,
    },
}

impl CalibError {
    /// Whether what was asked for is wrong, rather than the recordings, a file or a disk.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Image(error) => error.is_wrong_call(),
            Self::Rig(error) => error.is_wrong_call(),
            Self::Report(error) => error.is_wrong_call(),
            Self::NotOfRig { .. } | Self::NoDeviation => true,
            Self::Folder { .. }
            | Self::Replace { .. }
            | Self::Problems(_)
            | Self::OtherSize { .. }
            | Self::TooSmall { .. }
            | Self::TooFew { .. }
            | Self::Frozen { .. }
            | Self::NotHeld { .. }
            | Self::NoAnswer { .. }
            | Self::Still { .. }
            | Self::ShortClip { .. }
            | Self::NoLatency { .. } => false,
        }
    }
}

/// Longest list in a message.
const MOST_LINES: usize = 12;

fn lines(problems: &[ImageProblem]) -> String {
    let shown = problems.iter().take(MOST_LINES).map(|p| format!("  {p}"));
    let more = problems.len().saturating_sub(MOST_LINES);
    let rest = (more > 0).then(|| format!("  and {more} more"));
    shown.chain(rest).collect::<Vec<_>>().join("\n")
}

fn told(set_aside: &[String]) -> String {
    if set_aside.is_empty() {
        return String::new();
    }
    let shown = set_aside.iter().take(MOST_LINES).map(String::as_str).collect::<Vec<_>>().join("; ");
    let more = set_aside.len().saturating_sub(MOST_LINES);
    format!(" ({shown}{})", if more > 0 { format!("; and {more} more") } else { String::new() })
}
