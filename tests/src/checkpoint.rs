//! Original checkpoints of a golden folder.

use caf_golden::{files, stem};
use caf_weights::Weights;
use caf_weights::import::{ImportOptions, import_checkpoint};
use std::path::Path;

/// An original checkpoint, read without executing anything.
pub struct Checkpoint {
    /// File name without extension.
    pub name: String,
    /// Its tensors.
    pub weights: Weights,
}

/// Imports every `.pth` and `.pt` of a folder that has a safetensors twin, which `caf-weights` compares it with; at least one.
pub fn checkpoints(folder: &Path) -> Vec<Checkpoint> {
    let twins = files(folder, "", ".safetensors").into_iter();
    let original = |twin: &Path| ["pth", "pt"].map(|e| twin.with_extension(e)).into_iter().find(|p| p.is_file());
    let found: Vec<Checkpoint> = twins
        .filter_map(|twin| original(&twin))
        .map(|path| Checkpoint {
            name: stem(&path),
            weights: import_checkpoint(&path, &ImportOptions::default()).unwrap().weights,
        })
        .collect();
    assert!(!found.is_empty(), "{} holds no checkpoint with a safetensors twin", folder.display());
    found
}
