//! Finds and reads the golden data.

use caf_golden::{count, find, json, number, numbers};
use caf_net::zoo::yolov5::YoloConfig;
use caf_weights::{Weights, load_safetensors};
use caf_yolo::{Hyp, Target};
use serde_json::Value;
use tch::{Kind, Tensor};

/// One training case: a small network, a batch and everything the original computed from them.
pub struct Case {
    pub name: String,
    pub json: Value,
    pub data: Weights,
    pub weights: Weights,
}

/// All cases `NAME_train.json` with `NAME_train.safetensors` and `NAME_weights.safetensors`; `None` when the folder is absent.
pub fn cases(test: &str) -> Option<Vec<Case>> {
    let folder = find(test, "golden/yolov5")?;
    let case = |path: &std::path::PathBuf| {
        let name = caf_golden::stem(path).strip_suffix("_train").unwrap().to_owned();
        Case {
            json: json(path),
            data: load_safetensors(path.with_extension("safetensors")).unwrap(),
            weights: load_safetensors(folder.join(format!("{name}_weights.safetensors"))).unwrap(),
            name,
        }
    };
    Some(caf_golden::files(&folder, "", "_train.json").iter().map(case).collect())
}

impl Case {
    pub fn network(&self) -> YoloConfig {
        let mut anchors_px = [[[0.0; 2]; 3]; 3];
        for (level, found) in anchors_px.iter_mut().zip(caf_golden::items(&self.json["anchors_pixels"])) {
            level.as_flattened_mut().copy_from_slice(&numbers(found));
        }
        YoloConfig {
            depth: number(&self.json["depth_multiple"]),
            width: number(&self.json["width_multiple"]),
            classes: count(&self.json["nc"]),
            anchors_px,
        }
    }

    pub fn image_size(&self) -> usize {
        count(&self.json["image_size"])
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
