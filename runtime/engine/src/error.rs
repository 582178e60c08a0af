//! What can go wrong with an engine.

use crate::library::LibraryError;
use crate::provider::ProviderError;
use caf_contract::{ContractError, Mismatch, list};
use std::io::ErrorKind;
use std::path::PathBuf;

/// Why a model cannot be loaded or run. `model` is the path of its file, or what else the caller calls it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// ONNX Runtime is missing.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The hardware is missing.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The model.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Weights in place of a model.
    #[error("{}: {found}, no model: make one of it first (caf-export onnx), and give that", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A file of another kind.
    #[error("{}: expected a model (ONNX, by caf-export), found {found}", path.display())]
    NoModel {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// ONNX Runtime refuses the model.
    #[error("{model}: ONNX Runtime cannot load it: {source}")]
    Load {
        /// The model.
        model: String,
        /// The cause.
        source: ort::Error,
    },
    /// The model was not written by this project, or by another version of it.
    #[error("{model}: {source}")]
    Contract {
        /// The model.
        model: String,
        /// What is wrong with it.
        source: ContractError,
    },
    /// The model is not what its contract says.
    #[error("{model}: the model does not keep its contract:{}", list(found))]
    Broken {
        /// The model.
        model: String,
        /// Every difference.
        found: Vec<Mismatch>,
    },
    /// An output of a type that is not read.
    #[error("{model}: output `{output}`: expected f32 or u8, found {found}")]
    Output {
        /// The model.
        model: String,
        /// The output.
        output: String,
        /// Its type.
        found: String,
    },
    /// ONNX Runtime does not tell where its nodes ran.
    #[error("{model}: where its nodes run cannot be told: {reason}")]
    Placement {
        /// The model.
        model: String,
        /// Why.
        reason: String,
    },
    /// Inference failed, or the inputs do not fit.
    #[error("{model}: inference failed: {source}")]
    Run {
        /// The model.
        model: String,
        /// ONNX Runtime's reason.
        source: ort::Error,
    },
}

impl EngineError {
    /// True when the call was wrong rather than the work failing: the model is not there, or the file is no model of this project. A
    /// provider that this machine lacks is no wrong call, which is right on another.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Read { source, .. } => source.kind() == ErrorKind::NotFound,
            Self::Weights { .. } | Self::NoModel { .. } => true,
            Self::Contract { source, .. } => matches!(source, ContractError::Missing),
            Self::Library(_)
            | Self::Provider(_)
            | Self::Load { .. }
            | Self::Broken { .. }
            | Self::Output { .. }
            | Self::Placement { .. }
            | Self::Run { .. } => false,
        }
    }
}
