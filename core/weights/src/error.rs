//! What can be wrong with a weight file.

use crate::check::Mismatch;
use crate::import::ImportError;
use crate::metadata::MetadataError;
use crate::tensor::TensorError;
use crate::weights::DuplicateName;
use std::path::{Path, PathBuf};

/// A weight file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `open`, `read`, `write`.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// The bytes are not a safetensors file.
    #[error("{} is not a usable safetensors file", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FileFault,
    },
    /// An original checkpoint.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// What a file says of itself cannot be understood.
    #[error("{}: {source}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// Which key, and what is there.
        source: Box<MetadataError>,
    },
    /// The network that a file names is unknown or cannot be built.
    #[error("{}: {source}", path.display())]
    Graph {
        /// The file.
        path: PathBuf,
        /// Why.
        source: caf_net::GraphError,
    },
    /// The tensors of another network.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// The tensors do not fit the network that the file names or looks like.
    #[error("{}: {mismatch}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// All differences.
        mismatch: Mismatch,
    },
}

impl WeightsError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> WeightsError {
        let path = path.to_owned();
        move |source| WeightsError::Io { action, path, source }
    }
}

/// What is wrong with the bytes of a safetensors file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// Too short for its own header.
    #[error("the header needs {expected} bytes, the file has {found}: truncated or of another format")]
    Truncated {
        /// Bytes the header announces, itself included.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The header is longer than any real one.
    #[error("the header announces {found} bytes, at most {limit} are accepted: damaged or of another format")]
    HeaderSize {
        /// Announced bytes.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The header is not the JSON object it must be.
    #[error("the header is not valid: {0}")]
    Header(String),
    /// An element type this program does not know.
    #[error("tensor `{name}` has element type `{found}`, which is not supported")]
    ElementType {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// Tensors must follow each other without gap or overlap.
    #[error("tensor `{name}` lies at bytes {begin}..{end}, expected it to begin at {expected}: gap or overlap")]
    Offsets {
        /// The tensor.
        name: String,
        /// Its first byte.
        begin: usize,
        /// One past its last byte.
        end: usize,
        /// Where the tensor before it ends.
        expected: usize,
    },
    /// The data section has another length than the header says.
    #[error("the tensors take {expected} bytes, the file holds {found}: truncated or with trailing bytes")]
    DataLength {
        /// Bytes the tensors take.
        expected: usize,
        /// Bytes after the header.
        found: usize,
    },
    /// A tensor's bytes do not fill its shape.
    #[error("tensor `{name}`")]
    Tensor {
        /// The tensor.
        name: String,
        /// Why.
        source: TensorError,
    },
    /// Two tensors of one name.
    #[error(transparent)]
    Duplicate(#[from] DuplicateName),
    /// Two metadata entries of one key.
    #[error("metadata key `{key}` occurs twice")]
    DuplicateMetadata {
        /// The key.
        key: String,
    },
}
