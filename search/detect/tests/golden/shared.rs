//! Finds the golden data and reads its files.

use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

/// Prints a line that the test harness does not capture: what was compared, or skipped, is part of the result.
#[allow(clippy::explicit_write, reason = "eprintln is captured")]
pub fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap();
}

/// The folder `golden/<name>` of the shared data, or a visible line that the test was skipped.
pub fn folder(test: &str, name: &str) -> Option<PathBuf> {
    let found = match std::env::var_os("CAF_SHARED") {
        Some(root) => Some(PathBuf::from(root)),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|a| a.join("shared")).find(|p| p.is_dir()),
    };
    let folder = found.map(|root| root.join("golden").join(name)).filter(|p| p.is_dir());
    if folder.is_none() {
        say(&format!("SKIP {test}: no folder golden/{name} in CAF_SHARED or a `shared` folder above the crate"));
    }
    folder
}

/// A JSON file.
pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

/// Shape and values of a float32 tensor, if the file has it.
pub fn f32s(file: &SafeTensors<'_>, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
    let view = file.tensor(name).ok()?;
    assert_eq!(view.dtype(), Dtype::F32, "{name}");
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    Some((view.shape().to_vec(), values))
}
