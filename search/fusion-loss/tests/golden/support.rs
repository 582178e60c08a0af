//! Golden tensors as libtorch's.

use caf_weights::{Weights, load_safetensors};
use std::path::Path;
use tch::{Kind, Tensor};

/// All safetensors files of a folder by name; at least one.
pub fn safetensors_in(folder: &Path) -> Vec<(String, Weights)> {
    let files = caf_golden::files(folder, "", ".safetensors");
    files.iter().map(|path| (caf_golden::stem(path), load_safetensors(path).unwrap())).collect()
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
