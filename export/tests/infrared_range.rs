//! A vehicle's model reads 16-bit infrared over its full range: networks trained on another one are not exported.

#![allow(clippy::unwrap_used)]

use caf_net::Graph;
use caf_net::zoo::caf::{self, CafConfig};
use caf_net::zoo::yolov5::{self, Variant, YoloConfig};
use caf_weights::{initial, save_safetensors};
use std::process::Command;

#[test]
fn only_networks_trained_on_the_full_range_are_exported() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |graph: &Graph, name: &str, range: Option<&str>| {
        let mut weights = initial(graph.params(), 1).unwrap();
        if let Some(range) = range {
            weights.set_metadata("ir_range", range);
        }
        save_safetensors(&weights, path(name)).unwrap();
    };
    let fusion = caf::graph(&CafConfig { width: 8, depth: 1, normalised: true }).unwrap();
    let task = YoloConfig { depth: 0.33, width: 0.125, ..YoloConfig::new(Variant::N, 1) };
    let task = yolov5::graph(&task).unwrap();
    std::fs::write(path("classes.txt"), "person\n").unwrap();
    // As JSON sorts its keys.
    let percentile = r#"{"percentile":{"high":99.0,"low":1.0}}"#;
    for (range, code) in
        [(None, 0), (Some("\"full\""), 0), (Some("\"min_max\""), 1), (Some(percentile), 1), (Some("full"), 1)]
    {
        write(&fusion, "fusion.safetensors", range);
        write(&task, "task.safetensors", range);
        for weights in ["--fusion fusion.safetensors", "--task task.safetensors --classes classes.txt --size 64x64"] {
            let line = format!("onnx {weights} -o m.onnx");
            let program = env!("CARGO_BIN_EXE_caf-export");
            let output =
                Command::new(program).args(line.split_whitespace()).current_dir(folder.path()).output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!((output.status.code(), path("m.onnx").exists()), (Some(code), code == 0), "{range:?}: {error}");
            match range {
                // No JSON.
                Some("full") => assert!(error.contains("metadata `ir_range`"), "{error}"),
                Some(range) if code == 1 => {
                    assert!(
                        error.contains(range) && error.contains("full range") && error.contains("safetensors"),
                        "{error}"
                    );
                }
                _ => std::fs::remove_file(path("m.onnx")).unwrap(),
            }
        }
    }
}
