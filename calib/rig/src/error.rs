use caf_geometry::Size;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Why a rig, a table or an image plane cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// A number is outside what its meaning allows.
    #[error("{place}: expected {expected}, found {found}")]
    Value {
        /// Which value, as its path in the rig file (`visible.fx_px`).
        place: String,
        /// What would have been accepted.
        expected: &'static str,
        /// What was there.
        found: f64,
    },
    /// The rotation is not one.
    #[error("{place}: expected a right-handed orthonormal matrix, found one that is off by {off:.3e}")]
    Rotation {
        /// Path in the rig file.
        place: String,
        /// Largest entry of |RᵀR − I|, or |det R − 1| where that is larger.
        off: f64,
    },
    /// The plane at this distance does not lie in front of both cameras.
    #[error("no view of both cameras at a distance of {distance_m} m: expected more than {least_m} m")]
    Distance {
        /// What was asked for.
        distance_m: f64,
        /// The distance must be above this.
        least_m: f64,
    },
    /// A homography that cannot be inverted.
    #[error("the homography is singular (determinant {determinant:e})")]
    Singular {
        /// Its determinant.
        determinant: f64,
    },
    /// A homography that turns what is right in one image to the left in the other.
    #[error(
        "the homography mirrors the image (determinant {determinant:e}): expected two cameras that look the same way"
    )]
    Mirrors {
        /// Its determinant, below 0.
        determinant: f64,
    },
    /// A homography that maps a part of the infrared image to no place of the visible image.
    #[error(
        "the homography puts the corner ({}, {}) of the infrared image behind the visible camera: expected all of it in front",
        corner[0], corner[1]
    )]
    BehindCamera {
        /// The first such corner, pixels.
        corner: [f64; 2],
    },
    /// A camera is larger than a remap table can address.
    #[error("{place}: expected at most {limit} pixels, found {found}")]
    TooLarge {
        /// Which extent, or the product of both.
        place: String,
        /// The most there may be.
        limit: u64,
        /// What was there.
        found: u64,
    },
    /// No pixel of the visible image shows what the infrared camera sees.
    #[error("the infrared camera sees nothing of the visible image at a distance of {distance_m} m")]
    NoOverlap {
        /// What was asked for.
        distance_m: f64,
    },
    /// The same of a rig that knows no distances.
    #[error("by the rig's homography, the infrared camera sees nothing of the visible image")]
    NothingShared,
    /// A distance for a rig that knows none.
    #[error("the rig has one homography for all distances: expected no distance, found {found_m} m")]
    NoDistance {
        /// What was asked for.
        found_m: f64,
    },
    /// An image plane does not fit the table it is used with.
    #[error("{plane} plane: expected {expected}, found {found}")]
    PlaneSize {
        /// `source` or `destination`.
        plane: &'static str,
        /// Size of the table.
        expected: Size,
        /// Size of the plane.
        found: Size,
    },
    /// A buffer is too short for the plane it should hold, or rows overlap.
    #[error("plane of {size} with a stride of {stride}: expected at least {expected} elements, found {found}")]
    PlaneBuffer {
        /// Size of the plane.
        size: Size,
        /// Elements from one row to the next.
        stride: usize,
        /// Elements needed.
        expected: usize,
        /// Elements there.
        found: usize,
    },
    /// The file cannot be read or written.
    #[error("{path}: {doing} failed")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file holds bytes that are no text.
    #[error("{path}: not a rig file: expected TOML, found bytes that are not UTF-8")]
    NoText {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a rig; the cause carries line and column.
    #[error("{path}: not a rig file")]
    Parse {
        /// The file, or `<text>`.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The file's format is of a version that this program does not know.
    #[error("{path}: expected a rig file of version 1 to {latest}, found {found}")]
    Version {
        /// The file.
        path: PathBuf,
        /// The latest version that is known.
        latest: u32,
        /// The file's.
        found: u32,
    },
    /// The rig cannot be expressed as TOML.
    #[error("{path}: the rig cannot be written as TOML")]
    Format {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<toml::ser::Error>,
    },
    /// The file is not as it was written.
    #[error(
        "{path}: was changed after it had been written: expected contents of SHA-256 {expected}, found {found}; take out its \
         [checksum] to use it as it is"
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What it says.
        expected: String,
        /// What it has.
        found: String,
    },
    /// A value of the file is wrong.
    #[error("{path}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Which value and why.
        #[source]
        source: Box<RigError>,
    },
}

impl RigError {
    /// Whether what was asked for is wrong, rather than the rig or a disk: a distance that is not in front of both cameras, or one for a
    /// rig that knows none; a file that is not there, or of another kind.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Distance { .. } | Self::NoDistance { .. } | Self::Parse { .. } | Self::NoText { .. } => true,
            Self::Io { source, .. } => source.kind() == ErrorKind::NotFound,
            _ => false,
        }
    }

    pub(crate) fn io(path: &Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> RigError {
        move |source| RigError::Io { path: path.to_owned(), doing, source }
    }

    /// For reading the text of a rig file.
    pub(crate) fn reading(path: &Path) -> impl FnOnce(std::io::Error) -> RigError {
        move |source| match source.kind() {
            ErrorKind::InvalidData => RigError::NoText { path: path.to_owned() },
            _ => RigError::Io { path: path.to_owned(), doing: "reading", source },
        }
    }
}
