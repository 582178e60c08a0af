//! What can go wrong while exporting.

use caf_contract::{Mismatch, list};
use std::path::PathBuf;

/// A model that cannot be put together, written or verified.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A tensor cannot be used.
    #[error("parameter `{name}`")]
    Tensor {
        /// The parameter.
        name: String,
        /// Why.
        source: Box<caf_weights::WeightsError>,
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
    /// A constant that half precision cannot hold.
    #[error(
        "`{name}` holds {value}, beyond the largest number of half precision, 65504: layer `{layer}` must stay in fp32"
    )]
    Half {
        /// The layer that has it.
        layer: String,
        /// The constant.
        name: String,
        /// Its value.
        value: f32,
    },
    /// A calibration frame that makes values which are no numbers.
    #[error("`{tensor}` took the value {value} on a calibration frame")]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// What it holds.
        value: f32,
    },
    /// Frames that cannot be read. Boxed, for it lists all that is wrong.
    #[error(transparent)]
    Data(Box<caf_data::DataError>),
    /// A measurement that cannot be made.
    #[error(transparent)]
    Eval(#[from] caf_eval::EvalError),
    /// A letterbox without a geometry; never for a graph made by `caf_net::Builder`.
    #[error(transparent)]
    Letterbox(#[from] caf_geometry::GeometryError),
    /// The contract that the settings make cannot be kept or written.
    #[error(transparent)]
    Contract(#[from] caf_contract::ContractError),
    /// Weights that cannot be read or put together, or that are another network's.
    #[error(transparent)]
    Weights(#[from] caf_weights::WeightsError),
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
    /// A file that is not text, such as a list of classes.
    #[error("cannot read {}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// A list of classes in which a line is no class name of its own.
    #[error("{}, line {}: {}", path.display(), problem.line, problem)]
    Classes {
        /// The file.
        path: PathBuf,
        /// The first such line.
        problem: caf_contract::classes::ClassProblem,
    },
    /// A combination of settings that makes no model.
    #[error("{0}")]
    Settings(String),
    /// Bytes that are no ONNX model.
    #[error("no ONNX model: {0}")]
    Onnx(#[from] prost::DecodeError),
    /// An image for the probe set.
    #[error(transparent)]
    Image(Box<caf_image::ImageError>),
    /// The probe set cannot be put together.
    #[error(transparent)]
    Probes(#[from] caf_bundle::ProbeError),
    /// A bundle cannot be written, or is refused.
    #[error(transparent)]
    Bundle(#[from] caf_bundle::BundleError),
    /// The rig is impossible.
    #[error(transparent)]
    Rig(#[from] caf_rig::RigError),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] caf_engine::EngineError),
    /// The model's results are not what it promises; all differences.
    #[error("the model does not keep its contract:{}", list(found))]
    Broken {
        /// Each with place, expectation and finding.
        found: Vec<Mismatch>,
    },
    /// The model takes no images of that size, or none that fit into memory.
    #[error("the test images: {0}")]
    Images(Mismatch),
    /// Somebody asked for the end of the work before it was done.
    #[error("interrupted: nothing was written")]
    Interrupted,
    /// Two models have other outputs.
    #[error("the two models have no equal outputs: `{first}` against `{second}`")]
    Incomparable {
        /// Outputs of one.
        first: String,
        /// Outputs of the other.
        second: String,
    },
}

impl ExportError {
    /// [`ExportError::Settings`].
    pub fn settings(what: impl Into<String>) -> Self {
        Self::Settings(what.into())
    }

    /// Whether what was asked for is wrong, rather than a file or the work: settings that make no model, or one that nothing can run,
    /// a file of another kind or another network.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Images(_) | Self::Network { .. } => true,
            Self::Graph(error) => error.is_wrong_call(),
            Self::Letterbox(error) => error.is_wrong_call(),
            Self::Contract(error) => error.is_wrong_call(),
            Self::Weights(error) => error.is_wrong_call(),
            Self::Engine(error) => error.is_wrong_call(),
            Self::Image(error) => error.is_wrong_call(),
            Self::Bundle(error) => error.is_wrong_call(),
            Self::Rig(error) => error.is_wrong_call(),
            Self::Data(error) => error.is_wrong_call(),
            Self::Eval(error) => error.is_wrong_call(),
            Self::Tensor { .. }
            | Self::Name { .. }
            | Self::Half { .. }
            | Self::NotFinite { .. }
            | Self::Arity { .. }
            | Self::Variance { .. }
            | Self::Text { .. }
            | Self::Classes { .. }
            | Self::Onnx(_)
            | Self::Probes(_)
            | Self::Broken { .. }
            | Self::Interrupted
            | Self::Incomparable { .. } => false,
        }
    }
}
