//! Comparison with data recorded from the original implementation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests stop at the line that fails"
)]

mod letterbox;
mod suppression;

use caf_geometry::Size;
use caf_golden::{count, items, json, number};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::path::Path;

/// One photograph: what the original computed from it, and its tensors.
struct Photograph {
    name: String,
    json: Value,
    data: Vec<u8>,
}

impl Photograph {
    /// All cases `forward_*.json` with their tensors; at least one.
    fn all(folder: &Path) -> Vec<Photograph> {
        let case = |path: &std::path::PathBuf| Photograph {
            name: caf_golden::stem(path),
            json: json(path),
            data: std::fs::read(path.with_extension("safetensors")).unwrap(),
        };
        caf_golden::files(folder, "forward_", ".json").iter().map(case).collect()
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.data).unwrap()
    }
}

/// Two numbers.
fn pair(v: &Value) -> [f64; 2] {
    [number(&v[0]), number(&v[1])]
}

/// A size written as height, width.
fn size_hw(v: &Value) -> Size {
    assert_eq!(items(v).len(), 2);
    Size::new(count(&v[1]), count(&v[0]))
}

/// Shape and values of a float32 tensor, if the file has it.
fn f32s(file: &SafeTensors<'_>, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
    let view = file.tensor(name).ok()?;
    assert_eq!(view.dtype(), Dtype::F32, "{name}");
    let values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Some((view.shape().to_vec(), values))
}
