//! What can go wrong in a search, a training or a measurement.

use crate::hypergradient::HypergradientError;
use crate::named_images::Misfits;
use crate::state::StateError;
use crate::weight_file::SaveError;
use caf_data::DataError;
use caf_data::leakage::LeakageReport;
use caf_geometry::{GeometryError, Size};
use caf_image::IrRange;

use caf_torch::TorchError;
use caf_yolo::YoloError;
use std::path::{Path, PathBuf};

/// An error of this crate's work.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// A data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Pairs on both sides of a training.
    #[error(
        "training and validation overlap; give lists that are apart (`caf-search split`), or --set data.allow_overlap=true\n{0}"
    )]
    Overlap(Box<LeakageReport>),
    /// An image or a list that cannot be read or written.
    #[error(transparent)]
    Image(#[from] caf_image::ImageError),
    /// libtorch or parameters.
    #[error(transparent)]
    Torch(#[from] TorchError),
    /// Bare libtorch.
    #[error("libtorch says: {0}")]
    Tch(#[from] tch::TchError),
    /// A graph.
    #[error(transparent)]
    Graph(#[from] caf_net::GraphError),
    /// Weights and their files.
    #[error(transparent)]
    Weights(#[from] caf_weights::WeightsError),
    /// Weights that are not written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// Plots and pages.
    #[error(transparent)]
    Report(#[from] caf_report::ReportError),
    /// Rendered scenes.
    #[error(transparent)]
    Scene(#[from] caf_scene::SceneError),
    /// The fusion loss.
    #[error(transparent)]
    Loss(Box<caf_fusion_loss::LossError>),
    /// The detector's loss.
    #[error(transparent)]
    Yolo(#[from] YoloError),
    /// Boxes and suppression.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
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
    /// A file of another kind.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What belongs there.
        expected: String,
        /// What is there.
        found: String,
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
    /// Images read by another infrared range than the network's.
    #[error(
        "{option} {given}: {} was trained on the infrared range {trained}: give that range, or other weights", path.display()
    )]
    IrRange {
        /// The option or setting.
        option: &'static str,
        /// What it says.
        given: IrRange,
        /// What the weights say.
        trained: IrRange,
        /// The weights.
        path: PathBuf,
    },
    /// A value stopped being a number.
    #[error("{what} is not finite at iteration {iteration}; the last saved state is from before it and stays as it is")]
    NonFinite {
        /// Which loss, term or gradient.
        what: String,
        /// Iteration, counted from 0.
        iteration: usize,
    },
    /// Metrics.
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
    Hypergradient(Box<HypergradientError>),
    /// A result folder whose state or log cannot be gone on from.
    #[error(transparent)]
    State(#[from] StateError),
    /// A result folder that another run writes into.
    #[error("{}: in use by another run; wait for its end, or give another --out", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
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
        "{}: all {pairs} pairs are smaller than the crop of {crop}, the largest is {largest}; give a smaller size",
        root.display()
    )]
    Crop {
        /// The data set.
        root: PathBuf,
        /// How many pairs.
        pairs: usize,
        /// Size asked for.
        crop: Size,
        /// Size of the largest pair.
        largest: Size,
    },
    /// Samples that a task can learn nothing from, or be measured on.
    #[error("{}: none of the {samples} samples to {purpose} has {annotation}", root.display())]
    NothingLabelled {
        /// The data set.
        root: PathBuf,
        /// How many samples.
        samples: usize,
        /// What they are for.
        purpose: &'static str,
        /// What the task needs: a labelled object, a class mask.
        annotation: &'static str,
    },
    /// Training and validation, or network and data set, do not belong together.
    #[error("classes of {what}: expected {expected:?}, found {found:?}")]
    Classes {
        /// What has other classes.
        what: String,
        /// The classes it should have.
        expected: Vec<String>,
        /// Those it has.
        found: Vec<String>,
    },
    /// Other ranks.
    #[error(transparent)]
    Ranks(#[from] caf_ranks::RanksError),
    /// The thread that prepares batches ended without a word.
    #[error("the thread that prepares batches ended early")]
    FeedGone,
    /// Asked to stop before the result was there.
    #[error("stopped before everything was measured")]
    Interrupted,
    /// JSON that cannot be written or read.
    #[error("{}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

// Boxed, since an error that is handed up often should be no larger than what it stands in for.
impl From<caf_fusion_loss::LossError> for SearchError {
    fn from(error: caf_fusion_loss::LossError) -> Self {
        SearchError::Loss(Box::new(error))
    }
}

impl SearchError {
    /// Adds action and path to an error of the operating system.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SearchError {
        let path = path.to_owned();
        move |source| SearchError::Io { action, path, source }
    }

    /// Whether the call is wrong and not the work: settings that are unknown or out of their range, unknown devices, a file of another
    /// kind, an output in the wrong place.
    pub fn is_wrong_call(&self) -> bool {
        match self {
            SearchError::Setting { .. }
            | SearchError::Config { .. }
            | SearchError::IrRange { .. }
            | SearchError::Kind { .. }
            | SearchError::Sources { .. } => true,
            SearchError::Geometry(e) => e.is_wrong_call(),
            SearchError::Data(e) => e.is_wrong_call(),
            SearchError::Image(e) => e.is_wrong_call(),
            SearchError::Weights(e) => e.is_wrong_call(),
            SearchError::Loss(e) => e.is_wrong_call(),
            SearchError::Yolo(e) => e.is_wrong_call(),
            SearchError::Eval(e) => e.is_wrong_call(),
            SearchError::Report(e) => e.is_wrong_call(),
            SearchError::Scene(e) => e.is_wrong_call(),
            SearchError::Torch(e) => e.is_wrong_call(),
            SearchError::Graph(e) => e.is_wrong_call(),
            SearchError::Ranks(e) => e.is_wrong_call(),
            SearchError::Tch(_)
            | SearchError::Save(_)
            | SearchError::Io { .. }
            | SearchError::NonFinite { .. }
            | SearchError::NonFiniteImage { .. }
            | SearchError::Hypergradient(_)
            | SearchError::State(_)
            | SearchError::InUse { .. }
            | SearchError::Overlap(_)
            | SearchError::Images(_)
            | SearchError::Crop { .. }
            | SearchError::NothingLabelled { .. }
            | SearchError::Classes { .. }
            | SearchError::FeedGone
            | SearchError::Interrupted
            | SearchError::Json { .. } => false,
        }
    }
}
