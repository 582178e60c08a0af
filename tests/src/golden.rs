//! What golden folders hold: original checkpoints, pairs with results.

use crate::arrays::plane;
use caf_engine::Array;
use caf_golden::{files, stem};
use caf_image::Rgb8;
use caf_image::{IrRange, read_ir, read_vi};
use caf_weights::import::{ImportOptions, import_checkpoint};
use caf_weights::{Weights, load_safetensors};
use std::path::{Path, PathBuf};

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

/// A pair with what the original made of it.
pub struct PairCase {
    /// Its name.
    pub name: String,
    /// Infrared in [0, 1], `[1, 1, h, w]`.
    pub ir: Array,
    /// The visible image's luma, likewise; 8-bit gray in the file.
    pub vi: Array,
    /// The visible image in colour, where there is one.
    pub vi_rgb: Option<Rgb8>,
    /// Tensors of the original by name.
    pub expected: Weights,
}

/// Every pair of a folder under `golden/networks` with stored results (`inputs/NAME_ir.png`, `inputs/NAME_vi.png`,
/// `expected/NAME.safetensors`); at least one. Results without such a pair are of other networks of the same authors.
pub fn cases(folder: &Path) -> Vec<PairCase> {
    let results = files(&folder.join("expected"), "", ".safetensors");
    let load = |path: &Path| {
        let name = stem(path);
        let input = |what: &str| folder.join("inputs").join(format!("{name}_{what}.png"));
        let gray = |what| plane(&read_ir(&input(what), IrRange::Full).unwrap());
        let coloured = input("vi_rgb");
        PairCase {
            ir: gray("ir"),
            vi: gray("vi"),
            vi_rgb: coloured.is_file().then(|| read_vi(&coloured).unwrap()),
            expected: load_safetensors(path).unwrap(),
            name,
        }
    };
    let has_pair = |path: &&PathBuf| folder.join(format!("inputs/{}_ir.png", stem(path))).is_file();
    results.iter().filter(has_pair).map(|path| load(path)).collect()
}
