//! Small weights, and the program called on them.

#![allow(dead_code, reason = "every test program takes a part of it")]

use caf_contract::Contract;
use caf_engine::{Engine, EngineOptions};
use caf_net::zoo::caf::{self, CafConfig};
use caf_net::zoo::yolov5::{self, Variant, YoloConfig};
use caf_weights::{HostTensor, Weights, initial, save_safetensors};
use std::process::{Command, Output};

/// Gives normalisations statistics that folding must get right.
fn disturb(weights: &mut Weights) {
    let names: Vec<String> = weights.iter().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        let shape = weights.get(&name).unwrap().shape().to_vec();
        let values = |low: f32, step: f32| (0..shape[0]).map(|i| low + step * (i % 5) as f32).collect::<Vec<_>>();
        let values = match name.rsplit('.').next().unwrap() {
            "running_mean" => values(-0.2, 0.1),
            "running_var" => values(0.3, 0.4),
            _ => continue,
        };
        weights.replace(&name, HostTensor::from_f32(&shape, &values).unwrap());
    }
}

/// A folder, removed at the end, with weights.
pub struct Folder(pub tempfile::TempDir);

impl Folder {
    /// A narrow fusion network, a tiny detector that says what it is, and one that does not.
    pub fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        let fusion = caf::graph(&CafConfig { width: 8, depth: 2, normalised: true }).unwrap();
        let mut weights = initial(fusion.params(), 1).unwrap();
        disturb(&mut weights);
        // Centred in [0, 1], so that clamping hides nothing.
        weights.replace("fuse.2.0.bias", HostTensor::from_f32(&[1], &[0.55]).unwrap());
        save_safetensors(&weights, folder.path("fusion.safetensors")).unwrap();
        let config = YoloConfig { depth: 0.33, width: 0.125, ..YoloConfig::new(Variant::N, 2) };
        let mut task = initial(yolov5::graph(&config).unwrap().params(), 2).unwrap();
        disturb(&mut task);
        save_safetensors(&task, folder.path("silent.safetensors")).unwrap();
        task.set_metadata("network", "yolov5");
        task.set_metadata("config", serde_json::to_string(&config).unwrap());
        task.set_metadata("classes", "[\"person\",\"car\"]");
        task.set_metadata("image_size_px", "[128,128]");
        save_safetensors(&task, folder.path("task.safetensors")).unwrap();
        std::fs::write(folder.path("classes.txt"), "person\ncar\n").unwrap();
        folder
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    pub fn call(&self, line: &str) -> Output {
        let words = line.split_whitespace();
        Command::new(env!("CARGO_BIN_EXE_caf-export")).args(words).current_dir(&self.0).output().unwrap()
    }

    pub fn good(&self, line: &str) -> String {
        let output = self.call(line);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{line}\n{out}{err}");
        out.into_owned()
    }

    pub fn bad(&self, line: &str, code: i32) -> String {
        let output = self.call(line);
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}\n{err}");
        assert!(!err.contains("panicked"), "{err}");
        err
    }

    pub fn contract(&self, model: &str) -> Contract {
        let engine = Engine::open(&self.path(model), EngineOptions::CPU).unwrap();
        engine.contract().unwrap()
    }
}
