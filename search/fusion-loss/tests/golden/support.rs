//! Where golden data lies, and how its tensors become libtorch's.

use caf_weights::Weights;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// A folder or file of the shared data; `None`, after one visible line, when it is absent.
pub fn shared(test: &str, relative: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("CAF_SHARED") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join("../shared"))
            .find(|folder| folder.is_dir())
            .unwrap_or_else(|| PathBuf::from("../shared")),
    };
    let path = root.join(relative);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIP {test}: {} is absent", path.display());
    None
}

/// All safetensors files of a folder by name, sorted.
pub fn safetensors_in(folder: &Path) -> Vec<(String, Weights)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    files.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), caf_weights::load_safetensors(path).unwrap())).collect()
}

/// A tensor of the file, floats in `kind`.
pub fn tensor(weights: &Weights, name: &str, kind: Kind) -> Tensor {
    let host = weights.get(name).unwrap_or_else(|| panic!("tensor `{name}` is absent"));
    caf_torch::tensor_from_host(host).unwrap().to_kind(kind)
}

/// A tensor's values as doubles.
pub fn values(x: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(x.detach().to_kind(Kind::Double).reshape([-1]).contiguous()).unwrap()
}

/// ‖a − b‖ / ‖b‖, or ‖a‖ where b is zero.
pub fn relative_l2(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let distance = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    let scale = norm(&mut b.iter().copied());
    if scale == 0.0 { distance } else { distance / scale }
}
