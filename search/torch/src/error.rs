//! What can go wrong on libtorch.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum TorchError {
    /// libtorch refused an operation.
    #[error("{op} `{node}`: libtorch says: {source}")]
    Op {
        /// Kind of op or step.
        op: &'static str,
        /// Name of the node or parameter.
        node: String,
        /// The cause.
        source: tch::TchError,
    },
    /// libtorch refused something outside a graph.
    #[error("libtorch says: {0}")]
    Torch(#[from] tch::TchError),
    /// The caller gave another number of inputs than the graph has.
    #[error("graph `{graph}` takes {expected} inputs, found {found}")]
    Inputs {
        /// Name of the graph.
        graph: String,
        /// Its inputs.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// Parameters of another graph.
    #[error("graph `{graph}` has {expected} parameters, found {found}: they belong to another network")]
    ForeignParams {
        /// Name of the graph.
        graph: String,
        /// Its parameters.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// An op whose derivative along a direction is not known here.
    #[error("{op} `{node}`: there is no derivative along a direction for it")]
    NoTangent {
        /// Kind of op.
        op: &'static str,
        /// Name of the node.
        node: String,
    },
    /// A normalisation by the statistics of a batch that has none.
    #[error("norm `{node}`: a batch's statistics need more than one value a channel, found shape {shape:?}")]
    Statistics {
        /// Name of the node.
        node: String,
        /// Shape of what it should normalise.
        shape: Vec<i64>,
    },
    /// Weights that do not fit, or that cannot be made or stored.
    #[error(transparent)]
    Weights(#[from] caf_weights::WeightsError),
    /// A tensor whose element type has no host counterpart.
    #[error("tensor `{name}`: element type {found} cannot be stored")]
    Element {
        /// Its name.
        name: String,
        /// What it is.
        found: String,
    },
    /// The state of an optimiser that does not fit the parameters.
    #[error("optimiser state `{name}`: expected shape {expected:?}, found {found}")]
    OptimiserState {
        /// Name of the entry.
        name: String,
        /// Shape of the parameter.
        expected: Vec<i64>,
        /// What the state holds.
        found: String,
    },
    /// An unknown device name.
    #[error("unknown device `{found}`: expected `cpu`, `cuda`, `cuda:N` or `auto`")]
    DeviceName {
        /// The name given.
        found: String,
    },
    /// CUDA was asked for and cannot be had.
    #[error("device `{device}`: {why}")]
    NoCuda {
        /// The name given.
        device: String,
        /// What was tried and what it said.
        why: String,
    },
}

impl TorchError {
    /// Whether the call is wrong and not the work: a device that no machine has.
    pub fn is_wrong_call(&self) -> bool {
        matches!(self, TorchError::DeviceName { .. })
    }
}
