//! What can go wrong in training or measuring a detector.

use crate::named_images::Misfits;
use crate::state::StateError;
use crate::weight_file::SaveError;
use std::path::PathBuf;

/// An error of this module.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A setting outside its range.
    #[error("setting {name}: expected {expected}, found {found}")]
    Setting {
        /// Name as in the configuration file.
        name: &'static str,
        /// Its range.
        expected: String,
        /// Its value.
        found: String,
    },
    /// Images that do not fit the data set; all of them.
    #[error(transparent)]
    Images(#[from] Misfits),
    /// Images without anything to learn from or to measure by.
    #[error("none of the {images} {what} images has a labelled object: {purpose}")]
    NoObjects {
        /// Training or validation.
        what: &'static str,
        /// How many images.
        images: usize,
        /// What objects are needed for.
        purpose: &'static str,
    },
    /// Training and validation do not belong together.
    #[error("classes of the validation images: expected {expected:?} as in training, found {found:?}")]
    Classes {
        /// Of the training images.
        expected: Vec<String>,
        /// Of the validation images.
        found: Vec<String>,
    },
    /// The network has another number of classes than the images.
    #[error("the detector has {network} classes, the data set {images}")]
    ClassCount {
        /// Of the network.
        network: usize,
        /// Named by the data set.
        images: usize,
    },
    /// A part of the loss is no number any more.
    #[error(
        "{part} of the detector's loss is {value} in epoch {epoch}, iteration {iteration} (images {images}); stopped"
    )]
    NotFinite {
        /// Which part.
        part: &'static str,
        /// What it is.
        value: f64,
        /// From 0.
        epoch: usize,
        /// From 0 over the whole training.
        iteration: usize,
        /// Names of the batch.
        images: String,
    },
    /// The folder holds a state that this training cannot go on from.
    #[error(transparent)]
    State(#[from] StateError),
    /// Asked to stop before the result was there.
    #[error("stopped before everything was measured")]
    Interrupted,
    /// A file of weights or state that cannot be understood.
    #[error("{}: {what}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        what: String,
    },
    /// A file or folder cannot be written.
    #[error("{}: cannot write", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The thread that prepares batches ended without a word.
    #[error("the thread that prepares batches ended early")]
    LoaderGone,
    /// The folder, its images or its labels.
    #[error(transparent)]
    Data(#[from] caf_data::DataError),
    /// Boxes and suppression.
    #[error(transparent)]
    Detect(#[from] caf_geometry::DetectError),
    /// The network cannot be built.
    #[error(transparent)]
    Graph(#[from] caf_net::GraphError),
    /// The loss.
    #[error(transparent)]
    Yolo(#[from] caf_yolo::YoloError),
    /// The network cannot be run.
    #[error(transparent)]
    Torch(#[from] caf_torch::TorchError),
    /// libtorch refused.
    #[error("libtorch says: {0}")]
    Tch(#[from] tch::TchError),
    /// Average precision.
    #[error(transparent)]
    Eval(#[from] caf_eval::EvalError),
    /// Weight files.
    #[error(transparent)]
    Weights(#[from] caf_weights::WeightsError),
    /// Weights that are not written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// Fresh values.
    #[error(transparent)]
    Init(#[from] caf_weights::InitError),
    /// Tensors in host memory.
    #[error(transparent)]
    Host(#[from] caf_weights::TensorError),
    /// A name stored twice.
    #[error(transparent)]
    Duplicate(#[from] caf_weights::DuplicateName),
}
