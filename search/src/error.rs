//! What can go wrong in a search or a training.

use std::path::{Path, PathBuf};

/// An error of this crate's work.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// A data set.
    #[error(transparent)]
    Data(#[from] caf_data::DataError),
    /// libtorch or parameters.
    #[error(transparent)]
    Torch(#[from] caf_torch::TorchError),
    /// Bare libtorch.
    #[error("libtorch says: {0}")]
    Tch(#[from] tch::TchError),
    /// A graph.
    #[error(transparent)]
    Graph(#[from] caf_net::GraphError),
    /// A weight file.
    #[error(transparent)]
    Weights(#[from] caf_weights::WeightsError),
    /// A name stored twice in a checkpoint.
    #[error(transparent)]
    Duplicate(#[from] caf_weights::DuplicateName),
    /// A host tensor of another type or size than needed.
    #[error(transparent)]
    Host(#[from] caf_weights::TensorError),
    /// Weights that do not fit a network, with the file they came from.
    #[error("{}: {mismatch}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// All differences.
        mismatch: caf_weights::Mismatch,
    },
    /// The fusion loss.
    #[error(transparent)]
    Loss(#[from] caf_fusion_loss::LossError),
    /// The detector's loss.
    #[error(transparent)]
    Yolo(#[from] caf_yolo::YoloError),
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// A configuration file that is not one.
    #[error("{}: {message}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What the parser said, with line and column.
        message: String,
    },
    /// A setting out of its range.
    #[error("setting `{name}`: expected {expected}, found {found}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What is allowed.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A value stopped being a number.
    #[error("{what} is not finite at iteration {iteration}; the last saved state is from before it and stays as it is")]
    NonFinite {
        /// Which loss, term or gradient.
        what: String,
        /// Iteration, counted from 0.
        iteration: usize,
    },
    /// Fusion metrics.
    #[error(transparent)]
    Eval(#[from] caf_eval::EvalError),
    /// A network made something that is no image.
    #[error("the fused image of `{name}` has values that are not finite: the network's weights are broken")]
    NonFiniteImage {
        /// The pair.
        name: String,
    },
    /// The β step.
    #[error(transparent)]
    Hypergradient(crate::hypergradient::HypergradientError),
    /// The detector's training.
    #[error(transparent)]
    Task(#[from] crate::task::TaskError),
    /// An original checkpoint.
    #[error(transparent)]
    Import(#[from] caf_weights::import::ImportError),
    /// A result folder that belongs to another run.
    #[error("{}: {what}", path.display())]
    Resume {
        /// The folder or file.
        path: PathBuf,
        /// What does not fit and what to do.
        what: String,
    },
    /// Two lists that share pairs.
    #[error("{0}")]
    Overlap(String),
    /// A plot that cannot be drawn.
    #[error("cannot draw {}: {message}", path.display())]
    Plot {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// JSON that cannot be written or read.
    #[error("{}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

impl SearchError {
    /// Adds action and path to an error of the operating system.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SearchError {
        let path = path.to_owned();
        move |source| SearchError::Io { action, path, source }
    }
}
