//! The single causes of a [`WeightsError`](crate::WeightsError), each of its own part of the crate.

use crate::dtype::DType;

/// A name that is taken already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tensor `{name}` occurs twice")]
pub struct DuplicateName {
    /// The name.
    pub name: String,
}

/// Why bytes are not a tensor, or a tensor is not of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The bytes do not fill the shape.
    #[error("a {dtype} tensor of shape {shape:?} takes {expected} bytes, found {found}")]
    Length {
        /// Element type.
        dtype: DType,
        /// Shape.
        shape: Vec<usize>,
        /// Bytes the shape takes; `usize::MAX` when it takes more than memory has addresses.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// Another element type is needed.
    #[error("expected {expected}, found {found}")]
    Type {
        /// What is needed.
        expected: &'static str,
        /// What the tensor holds.
        found: DType,
    },
}

/// Why fresh values cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InitError {
    /// Two parameters of one name.
    #[error(transparent)]
    Duplicate(#[from] DuplicateName),
    /// A constant that does not fill its shape, or a shape that overflows.
    #[error("parameter `{name}`")]
    Tensor {
        /// The parameter.
        name: String,
        /// Why.
        source: TensorError,
    },
    /// A constant, or a bias with a prior, without a value from the network for each element.
    #[error("parameter `{name}`: expected {expected} values from the network, found {found}")]
    Given {
        /// The parameter.
        name: String,
        /// Number of elements.
        expected: usize,
        /// Number of values.
        found: usize,
    },
}

/// Why a published file cannot be brought under the graph's names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenameError {
    /// Two tensors belong in one place.
    #[error(transparent)]
    Duplicate(#[from] DuplicateName),
    /// One half without the other.
    #[error("`{name}` is put together from two tensors, and the {missing} is missing")]
    Half {
        /// The parameter.
        name: String,
        /// What is missing: the first or the second.
        missing: &'static str,
    },
    /// Halves that do not fit together.
    #[error("`{name}`: the halves are {first} and {second}")]
    Unequal {
        /// The parameter.
        name: String,
        /// Element type and shape.
        first: String,
        /// Element type and shape.
        second: String,
    },
    /// A tensor that cannot be joined.
    #[error("`{name}`")]
    Tensor {
        /// The parameter.
        name: String,
        /// Why.
        source: TensorError,
    },
}

/// Metadata that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("metadata `{key}`: expected {expected}, found `{found}`: {source}")]
pub struct MetadataError {
    /// The key.
    pub key: &'static str,
    /// What belongs there.
    pub expected: &'static str,
    /// The beginning of what is there.
    pub found: String,
    /// What the parser says.
    pub source: serde_json::Error,
}
