//! What can go wrong.

use std::path::PathBuf;
use tch::{Device, Kind};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum LossError {
    /// libtorch refused an operation.
    #[error("libtorch says: {0}")]
    Torch(#[from] tch::TchError),
    /// Parameters, host tensors or devices.
    #[error(transparent)]
    CafTorch(#[from] caf_torch::TorchError),
    /// A name that is no term.
    #[error("unknown loss term `{found}`: expected one of {known}")]
    UnknownTerm {
        /// What was given.
        found: String,
        /// The names of all terms.
        known: String,
    },
    /// An image of another shape.
    #[error("`{tensor}`: expected shape {expected}, found {found:?}")]
    Shape {
        /// Which tensor.
        tensor: &'static str,
        /// In words or numbers.
        expected: String,
        /// Its extents.
        found: Vec<i64>,
    },
    /// An image too small for the terms.
    #[error("`{tensor}`: both sides must be at least {least_px} px, found {width_px}x{height_px}")]
    TooSmall {
        /// Which tensor.
        tensor: &'static str,
        /// Smallest side.
        least_px: i64,
        /// Columns.
        width_px: i64,
        /// Rows.
        height_px: i64,
    },
    /// A batch without images.
    #[error("`{tensor}`: the batch is empty")]
    EmptyBatch {
        /// Which tensor.
        tensor: &'static str,
    },
    /// A tensor of another element type.
    #[error("`{tensor}`: expected element type {expected:?}, found {found:?}")]
    Element {
        /// Which tensor.
        tensor: &'static str,
        /// What the loss was made for.
        expected: Kind,
        /// What was given.
        found: Kind,
    },
    /// A tensor on another device.
    #[error("`{tensor}`: expected device {expected:?}, found {found:?}")]
    Device {
        /// Which tensor.
        tensor: &'static str,
        /// Where the loss is.
        expected: Device,
        /// Where the tensor is.
        found: Device,
    },
    /// NaN or infinity in a source.
    #[error("`{tensor}`: {count} values are not finite")]
    NonFiniteSource {
        /// Which tensor.
        tensor: &'static str,
        /// How many values.
        count: i64,
    },
    /// NaN or infinity in a term.
    #[error("loss term `{term}` is {value}")]
    NonFiniteTerm {
        /// The first such term.
        term: &'static str,
        /// Its value.
        value: f64,
    },
    /// A vector of weights of another length.
    #[error("{expected} active terms need as many logits, found shape {found:?}")]
    Logits {
        /// Number of active terms.
        expected: usize,
        /// Shape of what was given.
        found: Vec<i64>,
    },
    /// A negative weight where weights are used directly.
    #[error("direct weights must be finite and at least 0, found {value} at position {position}")]
    NegativeWeight {
        /// Position among the active terms.
        position: usize,
        /// Its value.
        value: f64,
    },
    /// Perceptual terms were computed for other sources, or not at all.
    #[error("the sources hold no VGG-16 features, but the loss has perceptual terms: they were made by another loss")]
    ForeignSources,
    /// The VGG-16 file cannot be read.
    #[error(transparent)]
    Weights(#[from] caf_weights::WeightsError),
    /// The VGG-16 file cannot be used.
    #[error("{}: not usable as VGG-16", path.display())]
    Vgg {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: VggFault,
    },
    /// A factor on features outside its range.
    #[error("feature_scale must be positive and finite, found {found}")]
    FeatureScale {
        /// What was given.
        found: f64,
    },
    /// What a term is to be divided by is no number above 0.
    #[error("the scale of {term} must be positive and finite, found {found}")]
    Scale {
        /// The term.
        term: &'static str,
        /// What was given or measured.
        found: f64,
    },
    /// Planes whose sizes do not agree.
    #[error("{what}: expected {expected} values, found {found}")]
    PlaneSize {
        /// Which plane.
        what: &'static str,
        /// Needed number of values.
        expected: usize,
        /// Given number of values.
        found: usize,
    },
}

impl LossError {
    /// Whether what was asked for is wrong, rather than the work: an unknown term, a factor out of its range, an unknown device.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::UnknownTerm { .. } | Self::FeatureScale { .. } => true,
            Self::CafTorch(error) => error.is_wrong_call(),
            Self::Weights(error) => error.is_wrong_call(),
            Self::Torch(_)
            | Self::Shape { .. }
            | Self::TooSmall { .. }
            | Self::EmptyBatch { .. }
            | Self::Element { .. }
            | Self::Device { .. }
            | Self::NonFiniteSource { .. }
            | Self::NonFiniteTerm { .. }
            | Self::Logits { .. }
            | Self::NegativeWeight { .. }
            | Self::ForeignSources
            | Self::Vgg { .. }
            | Self::Scale { .. }
            | Self::PlaneSize { .. } => false,
        }
    }
}

/// What is wrong with weights meant for VGG-16.
#[derive(Debug, thiserror::Error)]
pub enum VggFault {
    /// Tensors that are absent, misshapen or not finite; one line each.
    #[error("{} of 26 tensors do not fit: {}", .0.len(), .0.join("; "))]
    Tensors(Vec<String>),
    /// The lineage cannot be told.
    #[error(
        "cannot tell the lineage: no `lineage` entry, no known `input` entry in the metadata, and the first bias equals neither \
         torchvision's nor the Caffe model's; name it: lineage = \"torchvision\" or \"caffe\""
    )]
    UnclearLineage,
    /// The metadata names a lineage that is not known.
    #[error("metadata entry `lineage` is `{found}`, expected `torchvision` or `caffe`")]
    UnknownLineage {
        /// What it says.
        found: String,
    },
    /// The setting and the file disagree.
    #[error("the setting says lineage `{setting}`, the file is of lineage `{file}`")]
    OtherLineage {
        /// From the configuration.
        setting: &'static str,
        /// From the file.
        file: &'static str,
    },
}
