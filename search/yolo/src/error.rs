//! What can go wrong.

use caf_torch::TorchError;
use tch::TchError;

/// Why a loss or an optimiser step could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum YoloError {
    /// The heads do not belong to the configuration.
    #[error("raw head {level} of the detector: expected {expected}, found shape {found:?} of {kind:?}")]
    Head {
        /// Which level, finest first.
        level: usize,
        /// What fits.
        expected: String,
        /// What was given.
        found: Vec<i64>,
        /// Its element type.
        kind: tch::Kind,
    },
    /// The number of heads is wrong.
    #[error("the detector has {expected} levels, found {found} raw heads")]
    Levels {
        /// Levels of the configuration.
        expected: usize,
        /// Heads given.
        found: usize,
    },
    /// An object or a region cannot be used.
    #[error("{what} {index}: expected {expected}, found {found}")]
    Target {
        /// "object" or "ignore region".
        what: &'static str,
        /// Position in the list.
        index: usize,
        /// What fits.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A setting is out of its range.
    #[error("setting {name}: expected {expected}, found {found}")]
    Setting {
        /// Name as in the configuration file.
        name: &'static str,
        /// The range.
        expected: &'static str,
        /// What was given.
        found: f64,
    },
    /// Lists that belong together have different lengths.
    #[error("expected {expected} {what}, found {found}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many fit.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// libtorch refused.
    #[error("libtorch")]
    Tch(#[from] TchError),
    /// Running the graph or reading its parameters failed.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl YoloError {
    /// Whether what was asked for is wrong, rather than the work: a setting out of its range.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Setting { .. } => true,
            Self::Torch(error) => error.is_wrong_call(),
            Self::Head { .. } | Self::Levels { .. } | Self::Target { .. } | Self::Count { .. } | Self::Tch(_) => false,
        }
    }
}
