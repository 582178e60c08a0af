//! Finds the golden data.

use crate::table::say;
use caf_weights::import::{ImportOptions, import_checkpoint};
use caf_weights::{Weights, load_safetensors};
use std::path::{Path, PathBuf};

/// The folder `golden/<name>` below `CAF_SHARED`, or below `shared` beside the repository; `None` after a visible line that says
/// what is missing.
pub fn folder(test: &str, name: &str) -> Option<PathBuf> {
    let shared = match std::env::var_os("CAF_SHARED") {
        Some(path) => Some(PathBuf::from(path)),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|a| a.join("shared")).find(|p| p.is_dir()),
    };
    let found = shared.map(|s| s.join("golden").join(name)).filter(|f| f.is_dir());
    if found.is_none() {
        say(&format!(
            "SKIP {test}: no folder golden/{name} in CAF_SHARED or in a `shared` folder beside the repository"
        ));
    }
    found
}

/// Files of a folder by the beginning and the end of their names, sorted; at least one.
pub fn files(folder: &Path, begin: &str, end: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(begin) && n.ends_with(end))
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{} holds no {begin}*{end}", folder.display());
    found
}

/// A JSON file.
pub fn json(path: &Path) -> serde_json::Value {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A number in a JSON file.
pub fn number(value: &serde_json::Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("expected a number, found {value}"))
}

/// An original checkpoint, read without executing anything.
pub struct Checkpoint {
    /// File name without extension.
    pub name: String,
    /// Its tensors.
    pub weights: Weights,
    /// Number of scalars that were compared with the twin.
    pub scalars: usize,
}

/// Imports every `.pth` and `.pt` of a folder that has a safetensors twin; at least one. Import and twin are equal bit for bit:
/// importing copies bits, and widening half to single precision is exact.
pub fn checkpoints(folder: &Path) -> Vec<Checkpoint> {
    let mut found = Vec::new();
    for twin in files(folder, "", ".safetensors") {
        let Some(original) = ["pth", "pt"].map(|e| twin.with_extension(e)).into_iter().find(|p| p.is_file()) else {
            continue;
        };
        let name = twin.file_stem().unwrap().to_string_lossy().into_owned();
        let weights = import_checkpoint(&original, &ImportOptions::default()).unwrap().weights;
        let expected = load_safetensors(&twin).unwrap();
        assert_eq!(weights.len(), expected.len(), "{name}: number of tensors");
        let mut scalars = 0;
        for (tensor, wanted) in expected.iter() {
            assert!(weights.get(tensor) == Some(wanted), "{name}: {tensor} differs from its twin");
            scalars += wanted.len();
        }
        found.push(Checkpoint { name, weights, scalars });
    }
    assert!(!found.is_empty(), "{} holds no checkpoint with a safetensors twin", folder.display());
    found
}
