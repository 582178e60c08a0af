//! Why a checkpoint is not read.
//!
//! Names in messages come from the file and may be of any length: they are cut by [`short`].

use std::path::PathBuf;

/// A checkpoint that is not read.
#[derive(Debug, thiserror::Error)]
#[error("cannot import {}", path.display())]
pub struct ImportError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub cause: ImportCause,
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
        /// Entries with tensors.
        candidates: String,
        /// All entries.
        present: String,
    },
}

impl ImportCause {
    /// Refuses more than the limit.
    pub(super) fn at_most(what: &'static str, found: u64, limit: u64) -> Result<(), ImportCause> {
        if found > limit { Err(ImportCause::Limit { what, found, limit }) } else { Ok(()) }
    }
}

/// As much of a name as a message holds.
pub(super) fn short(name: &str) -> String {
    /// Characters; the longest class names of real networks have less.
    const SHOWN: usize = 120;
    match name.char_indices().nth(SHOWN).and_then(|(end, _)| name.get(..end)) {
        Some(shown) => format!("{shown}… ({} bytes)", name.len()),
        None => name.to_owned(),
    }
}
