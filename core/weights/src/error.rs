//! What can be wrong with a weight file.

use crate::cause::{DuplicateName, InitError, MetadataError, RenameError, TensorError};
use crate::mismatch::Mismatch;
use std::path::{Path, PathBuf};

/// Weights that cannot be read, made, put together or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// A name that is taken already.
    #[error(transparent)]
    Duplicate(#[from] DuplicateName),
    /// Bytes that are no tensor, or a tensor of another element type.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Fresh values that cannot be made.
    #[error(transparent)]
    Fresh(#[from] InitError),
    /// Tensors that do not fit a network.
    #[error(transparent)]
    Unfit(#[from] Mismatch),
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
    /// An original checkpoint is not read.
    #[error("cannot import {}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ImportCause,
    },
    /// Neither a safetensors file nor an original checkpoint.
    #[error("{}: expected safetensors or a PyTorch checkpoint, found {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it begins like.
        found: String,
    },
    /// Names that cannot be put right.
    #[error("{}", path.display())]
    Names {
        /// The file.
        path: PathBuf,
        /// Why.
        source: DuplicateName,
    },
    /// A published file whose tensors do not make up the network's.
    #[error("{}", path.display())]
    Rename {
        /// The file.
        path: PathBuf,
        /// Why.
        source: RenameError,
    },
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
    /// Whether what was asked for is wrong, rather than a file or a disk: a file of another kind or another network than what is
    /// asked for, an entry named by the caller that the checkpoint lacks. A damaged file is no wrong call.
    pub fn is_wrong_call(&self) -> bool {
        match self {
            WeightsError::Format { .. } | WeightsError::Network { .. } => true,
            WeightsError::Checkpoint { source, .. } => matches!(
                source,
                ImportCause::Entry { asked: true, .. }
                    | ImportCause::NotACheckpoint(_)
                    | ImportCause::NotAPickle { .. }
            ),
            WeightsError::Duplicate(_)
            | WeightsError::Tensor(_)
            | WeightsError::Fresh(_)
            | WeightsError::Unfit(_)
            | WeightsError::Io { .. }
            | WeightsError::File { .. }
            | WeightsError::Names { .. }
            | WeightsError::Rename { .. }
            | WeightsError::Metadata { .. }
            | WeightsError::Graph { .. }
            | WeightsError::Mismatch { .. } => false,
        }
    }

    /// Adds the file and what was done with it (`read`) to the system's error.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> WeightsError {
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

/// Why a checkpoint is not read.
#[derive(Debug, thiserror::Error)]
pub enum ImportCause {
    /// The operating system refused.
    #[error(transparent)]
    Io(std::io::Error),
    /// The pickle asks for something that could run code.
    #[error("refused: the pickle uses `{name}` ({opcode} at byte {offset}): {why}")]
    Refused {
        /// Function, class or extension as the pickle names it; the opcode itself when it names nothing.
        name: String,
        /// The opcode that uses it.
        opcode: &'static str,
        /// Position in the pickle.
        offset: usize,
        /// Why it is refused.
        why: &'static str,
    },
    /// The pickle is damaged.
    #[error("damaged pickle: {opcode} at byte {offset}: {what}")]
    Damaged {
        /// The opcode that cannot be carried out.
        opcode: &'static str,
        /// Position in the pickle.
        offset: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A byte that is no opcode.
    #[error("neither a zip archive nor a pickle: byte {offset} is 0x{byte:02x}, which no pickle has there")]
    NotAPickle {
        /// Position.
        offset: usize,
        /// The byte.
        byte: u8,
    },
    /// A pickle, but no checkpoint.
    #[error("not a PyTorch checkpoint: {0}")]
    NotACheckpoint(&'static str),
    /// The zip archive is damaged or not torch's.
    #[error("archive: {0}")]
    Archive(String),
    /// A TensorFlow checkpoint is damaged or not complete.
    #[error("TensorFlow checkpoint: {0}")]
    TensorFlow(String),
    /// More than any real checkpoint needs.
    #[error("{what}: {found}, at most {limit} are accepted")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much there is, as far as it was counted.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Two tensors of one name.
    #[error(transparent)]
    Duplicate(#[from] DuplicateName),
    /// A tensor's data.
    #[error("tensor `{name}`: {what}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What was expected and what was found.
        what: String,
    },
    /// No entry, or not the wanted one, holds a network.
    #[error("{what}; entries that hold a network: {candidates}; all entries: {present}")]
    Entry {
        /// What was looked for.
        what: String,
        /// Whether the caller named the entry.
        asked: bool,
        /// Entries with tensors.
        candidates: String,
        /// All entries.
        present: String,
    },
}

impl ImportCause {
    /// Refuses more than the limit.
    pub(crate) fn at_most(what: &'static str, found: u64, limit: u64) -> Result<(), ImportCause> {
        if found > limit { Err(ImportCause::Limit { what, found, limit }) } else { Ok(()) }
    }
}

/// As much of a name from a file, which may be of any length, as a message holds.
pub(crate) fn short(name: &str) -> String {
    /// Characters; the longest class names of real networks have less.
    const SHOWN: usize = 120;
    match name.char_indices().nth(SHOWN).and_then(|(end, _)| name.get(..end)) {
        Some(shown) => format!("{shown}… ({} bytes)", name.len()),
        None => name.to_owned(),
    }
}
