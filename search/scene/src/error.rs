use caf_geometry::Size;
use std::path::PathBuf;

/// Why a scene cannot be drawn or written.
#[derive(Debug, thiserror::Error)]
pub enum SceneError {
    /// An image size that is not supported.
    #[error("image of {found}: expected 32 to 4096 pixels each way")]
    Size {
        /// Size asked for.
        found: Size,
    },
    /// A rig that is not valid.
    #[error("the scene's rig is not valid")]
    Rig(#[from] caf_rig::RigError),
    /// The rig's visible camera is not of the scene's size.
    #[error("the rig's visible camera: expected {expected} pixels, found {found}")]
    RigSize {
        /// Size of the scene.
        expected: Size,
        /// Size of the camera.
        found: Size,
    },
    /// A setting that is outside what it means.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// Name of the field.
        setting: &'static str,
        /// What would be accepted.
        expected: &'static str,
        /// What was there.
        found: String,
    },
    /// The folder to be written already holds something.
    #[error("{path}: the folder is not empty; choose another one or allow replacing it")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("{path}: {doing} failed")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// An image could not be encoded or written.
    #[error("{path}: writing the image failed")]
    Image {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: image::ImageError,
    },
    /// The record of scenes could not be written.
    #[error("{path}: writing JSON failed")]
    Json {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

impl SceneError {
    /// Whether what was asked for is wrong, rather than the work: a setting or a size out of its range, a folder that holds something.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Size { .. } | Self::Setting { .. } | Self::NotEmpty { .. } => true,
            Self::Rig(error) => error.is_wrong_call(),
            Self::RigSize { .. } | Self::Io { .. } | Self::Image { .. } | Self::Json { .. } => false,
        }
    }
}
