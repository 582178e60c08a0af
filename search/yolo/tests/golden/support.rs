//! Finds and reads the golden data.

use caf_net::zoo::yolov5::YoloConfig;
use caf_weights::{Weights, load_safetensors};
use caf_yolo::{Hyp, Target};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// One training case: a small network, a batch and everything the original computed from them.
pub struct Case {
    pub name: String,
    pub json: Value,
    pub data: Weights,
    pub weights: Weights,
}

/// `CAF_SHARED`, or `shared` beside a folder above this crate.
fn shared() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("CAF_SHARED") {
        return Some(PathBuf::from(dir));
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|dir| dir.join("shared")).find(|dir| dir.is_dir())
}

/// All cases `NAME_train.json` with `NAME_train.safetensors` and `NAME_weights.safetensors`; none when the folder is absent.
pub fn cases(test: &str) -> Vec<Case> {
    let Some(folder) = shared().map(|s| s.join("golden/yolov5")).filter(|f| f.is_dir()) else {
        eprintln!("SKIP {test}: no golden data (golden/yolov5 below CAF_SHARED)");
        return Vec::new();
    };
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix("_train.json").map(str::to_owned))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "{} holds no NAME_train.json", folder.display());
    names
        .into_iter()
        .map(|name| Case {
            json: serde_json::from_slice(&std::fs::read(folder.join(format!("{name}_train.json"))).unwrap()).unwrap(),
            data: load_safetensors(folder.join(format!("{name}_train.safetensors"))).unwrap(),
            weights: load_safetensors(folder.join(format!("{name}_weights.safetensors"))).unwrap(),
            name,
        })
        .collect()
}

impl Case {
    pub fn network(&self) -> YoloConfig {
        let numbers = |level: &Value| -> Vec<f64> { level.as_array().unwrap().iter().map(number).collect() };
        let mut anchors_px = [[[0.0; 2]; 3]; 3];
        for (level, found) in anchors_px.iter_mut().zip(self.json["anchors_pixels"].as_array().unwrap()) {
            for (anchor, pair) in level.iter_mut().zip(numbers(found).chunks(2)) {
                anchor.copy_from_slice(pair);
            }
        }
        YoloConfig {
            depth: number(&self.json["depth_multiple"]),
            width: number(&self.json["width_multiple"]),
            classes: self.json["nc"].as_u64().unwrap() as usize,
            anchors_px,
        }
    }

    pub fn image_size(&self) -> usize {
        self.json["image_size"].as_u64().unwrap() as usize
    }

    /// The settings of the loss; gains stay at their defaults, which the test of the gains compares.
    pub fn hyp(&self) -> Hyp {
        let h = &self.json["hyp"];
        Hyp {
            cls_pw: number(&h["cls_pw"]),
            obj_pw: number(&h["obj_pw"]),
            fl_gamma: number(&h["fl_gamma"]),
            anchor_t: number(&h["anchor_t"]),
            label_smoothing: number(&h["label_smoothing"]),
            gr: number(&self.json["gr"]),
            autobalance: self.json["autobalance"].as_bool().unwrap(),
            ..Hyp::default()
        }
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.data.get(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.name)).to_f32_vec().unwrap()
    }

    pub fn integers(&self, name: &str) -> Vec<i64> {
        self.data.get(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.name)).to_i64_vec().unwrap()
    }

    /// The objects under a name; rows image, class, x, y, w, h.
    pub fn targets(&self, name: &str) -> Vec<Target> {
        let target =
            |r: &[f32]| Target { image: r[0] as usize, class: r[1] as usize, cx: r[2], cy: r[3], w: r[4], h: r[5] };
        self.floats(name).chunks(6).map(target).collect()
    }

    /// A stored head `[n, 3, rows, columns, 5 + classes]` as the raw output of the network, `[n, 3·(5 + classes), rows, columns]`.
    pub fn raw_head(&self, name: &str) -> Tensor {
        let size: Vec<i64> = self.data.get(name).unwrap().shape().iter().map(|n| *n as i64).collect();
        Tensor::from_slice(&self.floats(name)).view(size.as_slice()).permute([0, 1, 4, 2, 3]).reshape([
            size[0],
            size[1] * size[4],
            size[2],
            size[3],
        ])
    }

    /// The network input in [0, 1], divided in the given precision.
    pub fn image(&self, kind: Kind) -> Tensor {
        let stored = self.data.get("image_u8").unwrap();
        let size: Vec<i64> = stored.shape().iter().map(|n| *n as i64).collect();
        Tensor::from_slice(stored.bytes()).view(size.as_slice()).to_kind(kind) / 255.0
    }
}

pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("expected a number, found {value}"))
}

/// A raw head in the layout the golden files store, flattened.
pub fn stored_layout(raw: &Tensor, classes: usize) -> Vec<f32> {
    let size = raw.size();
    let cells = raw.reshape([size[0], 3, 5 + classes as i64, size[2], size[3]]).permute([0, 1, 3, 4, 2]);
    flat(&cells)
}

pub fn flat(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.detach().to_kind(Kind::Float).contiguous().view([-1])).unwrap()
}

pub fn max_abs(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |m, v| m.max(f64::from(v.abs())))
}

/// Largest difference; lengths must agree.
pub fn max_difference(found: &[f32], expected: &[f32], what: &str) -> f64 {
    assert_eq!(found.len(), expected.len(), "{what}");
    assert!(found.iter().all(|v| v.is_finite()), "{what}: not finite");
    found.iter().zip(expected).fold(0.0, |m, (a, b)| m.max(f64::from((a - b).abs())))
}
