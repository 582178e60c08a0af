//! The program on a disk that takes no more: exit code 1, the file by its name, and nothing half written.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop at the line that fails")]

mod common;

use caf_golden::fails_on_full_disk;
use caf_net::zoo::caf::{self, CafConfig};
use caf_weights::{initial, save_safetensors};
use std::path::Path;

fn left(limit_kib: usize, folder: &Path, line: &str, place: &str) -> Vec<String> {
    fails_on_full_disk(env!("CARGO_BIN_EXE_caf-export"), limit_kib, folder, line, place)
}

#[test]
fn a_model_that_does_not_fit_on_the_disk_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let graph = caf::graph(&CafConfig { width: 8, depth: 2, normalised: true }).unwrap();
    save_safetensors(&initial(graph.params(), 1).unwrap(), folder.join("fusion.safetensors")).unwrap();
    let line = "onnx --fusion fusion.safetensors -o model.onnx";
    for limit_kib in [0, 4] {
        assert!(left(limit_kib, folder, line, "model.onnx").is_empty());
    }
    let weights = caf_export::model::FusionFile::open(&folder.join("fusion.safetensors")).unwrap();
    let parts = caf_export::model::Parts::Fusion(&weights);
    let model = caf_export::model::Model::new(parts, &caf_export::model::Settings::default()).unwrap();
    std::fs::write(folder.join("model.onnx"), model.to_onnx(true).unwrap()).unwrap();
    assert!(left(4, folder, line, "model.onnx").is_empty());
    // The model fits in here, as it is there already, and its report does not.
    if common::engine_present("a_model_that_does_not_fit_on_the_disk_leaves_the_old_one") {
        assert!(left(0, folder, "verify model.onnx --json report.json", "report.json").is_empty());
    }
}
