//! What can go wrong in a search or a training.

use crate::named_images::Misfits;
use crate::state::StateError;
use crate::weight_file::SaveError;
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
    /// Weights that are not written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// A name stored twice in a checkpoint.
    #[error(transparent)]
    Duplicate(#[from] caf_weights::DuplicateName),
    /// A host tensor of another type or size than needed.
    #[error(transparent)]
    Host(#[from] caf_weights::TensorError),
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
    /// A result folder whose state or log cannot be gone on from.
    #[error(transparent)]
    State(#[from] StateError),
    /// Results that would replace the images they are made of.
    #[error("{}: the data set's images lie here and would be replaced; give another --out", path.display())]
    Sources {
        /// The folder.
        path: PathBuf,
    },
    /// Images that do not fit the data set; all of them.
    #[error(transparent)]
    Images(#[from] Misfits),
    /// A crop that no pair is large enough for.
    #[error(
        "{}: all {pairs} pairs are smaller than the crop of {}x{}, the largest is {}x{}; give a smaller crop",
        root.display(), crop.0, crop.1, largest.0, largest.1
    )]
    Crop {
        /// The data set.
        root: PathBuf,
        /// How many pairs.
        pairs: usize,
        /// Width and height asked for.
        crop: (usize, usize),
        /// Width and height of the largest pair.
        largest: (usize, usize),
    },
    /// Pairs that show a detector nothing.
    #[error("{}: none of the {pairs} pairs to {what} has a labelled object, so the task has nothing to say", root.display())]
    NoObjects {
        /// The data set.
        root: PathBuf,
        /// How many pairs.
        pairs: usize,
        /// What they are for.
        what: &'static str,
    },
    /// The thread that prepares batches ended without a word.
    #[error("the thread that prepares batches ended early")]
    FeedGone,
    /// Asked to stop before the result was there.
    #[error("stopped before everything was measured")]
    Interrupted,
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
