//! What can go wrong while exporting.

use std::path::PathBuf;

/// A graph that cannot be written as ONNX.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The weights are not those of the network.
    #[error(transparent)]
    Weights(#[from] caf_weights::Mismatch),
    /// Two weight files give one name.
    #[error(transparent)]
    Duplicate(#[from] caf_weights::DuplicateName),
    /// A tensor cannot be used.
    #[error("parameter `{name}`")]
    Tensor {
        /// The parameter.
        name: String,
        /// Why.
        source: caf_weights::TensorError,
    },
    /// The network cannot be built.
    #[error(transparent)]
    Graph(#[from] caf_net::GraphError),
    /// Two values of one name.
    #[error("`{name}` names two values of the ONNX graph")]
    Name {
        /// The name.
        name: String,
    },
    /// A node without the inputs its op takes; never for a graph made by `caf_net::Builder`.
    #[error("{op} `{node}` takes {expected} input(s), found {found}")]
    Arity {
        /// Kind of op.
        op: &'static str,
        /// Name of the node.
        node: String,
        /// Inputs the op takes.
        expected: usize,
        /// Inputs it has.
        found: usize,
    },
    /// A normalisation that divides by zero or by the root of a negative number.
    #[error("norm `{node}`: channel {channel} has running variance {variance}, which with epsilon {eps} has no root")]
    Variance {
        /// Name of the node.
        node: String,
        /// The channel.
        channel: usize,
        /// Its running variance.
        variance: f64,
        /// What is added to it.
        eps: f64,
    },
    /// A letterbox without a geometry; never for a graph made by `caf_net::Builder`.
    #[error(transparent)]
    Letterbox(#[from] caf_geometry::DetectError),
    /// The contract cannot be written.
    #[error(transparent)]
    Contract(#[from] caf_contract::ContractError),
}

/// A model that cannot be put together from weight files.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A weight file cannot be read.
    #[error(transparent)]
    Read(#[from] caf_weights::WeightsError),
    /// The weights do not fit the network that the file or the caller names.
    #[error("{} does not fit its network", path.display())]
    Fit {
        /// The file.
        path: PathBuf,
        /// All differences.
        source: caf_weights::Mismatch,
    },
    /// A file of another network.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// Metadata that says no infrared range.
    #[error("{}: metadata `ir_range`: {found}", path.display())]
    IrRange {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// A file that is not text, such as a list of classes.
    #[error("cannot read {}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// A combination of settings that makes no model.
    #[error("{0}")]
    Settings(&'static str),
    /// Settings that make a model nothing can run.
    #[error("the settings make a model that nothing can run")]
    Contract(#[from] caf_contract::ContractError),
    /// The letterbox has no geometry.
    #[error("the detector's input")]
    Letterbox(#[from] caf_geometry::DetectError),
    /// The graph cannot be built or written.
    #[error(transparent)]
    Export(#[from] ExportError),
}

impl From<caf_net::GraphError> for ModelError {
    fn from(source: caf_net::GraphError) -> Self {
        ModelError::Export(source.into())
    }
}

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// Its reason.
    pub source: std::io::Error,
}
