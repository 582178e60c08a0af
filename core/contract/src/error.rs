//! What can be wrong with a contract.

use crate::port::MOST_ELEMENTS;
use crate::task::Task;

/// Key of the contract in the ONNX file's `metadata_props`.
pub const METADATA_KEY: &str = "caf.contract";

/// The version this code writes and reads.
pub const VERSION: u32 = 2;

/// Where a promise is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Which input, output or task.
    pub place: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl Mismatch {
    /// From its three parts.
    pub fn new(place: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { place: place.into(), expected: expected.into(), found: found.into() }
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: expected {}, found {}", self.place, self.expected, self.found)
    }
}

/// Why a contract cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The metadata has no such key.
    #[error("the model carries no `{METADATA_KEY}` in its metadata: it was not written by caf-export")]
    Missing,
    /// The value is not a contract.
    #[error("the model's `{METADATA_KEY}` is not a contract this program understands: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Another version.
    #[error("the model's contract has version {found}, this program reads version {VERSION}: export the model again")]
    Version {
        /// What the file says.
        found: u32,
    },
    /// A task of a later program.
    #[error("the model's contract has the task `{found}`, this program knows {}", Task::names("and"))]
    Task {
        /// What the file says.
        found: String,
    },
    /// The contract contradicts itself.
    #[error("the model's contract contradicts itself:{}", list(found))]
    Contradiction {
        /// Everything.
        found: Vec<Mismatch>,
    },
    /// An input or output that no memory holds, or that holds nothing.
    #[error("the contract's `{port}`: expected from 1 to {MOST_ELEMENTS} elements")]
    Elements {
        /// The port for people.
        port: String,
    },
    /// A port is absent.
    #[error("the contract lists no {direction} named `{name}`; it has: {present}")]
    Port {
        /// `input` or `output`.
        direction: &'static str,
        /// The name looked for.
        name: String,
        /// The names there are.
        present: String,
    },
    /// An infrared range that says nothing, or a text that is no range.
    #[error("expected {expected}, found {found}")]
    IrRange {
        /// What a range is.
        expected: &'static str,
        /// What was given.
        found: String,
    },
}

impl ContractError {
    /// Whether what was asked for is wrong, rather than what a model says of itself: a size or an infrared range that nothing can have.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        matches!(self, Self::Elements { .. } | Self::IrRange { .. })
    }
}

/// Mismatches, one a line, each line indented.
#[must_use]
pub fn list(found: &[Mismatch]) -> String {
    found.iter().map(|mismatch| format!("\n  {mismatch}")).collect()
}
