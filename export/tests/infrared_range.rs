//! The infrared range of a network's training goes into the contract, so that a vehicle's model sees what the network learnt from.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop at the line that fails")]

use caf_contract::IrRange;
use caf_export::model::{FusionFile, Model, Parts, Settings, TaskFile};
use caf_net::Graph;
use caf_net::zoo::caf::{self, CafConfig};
use caf_net::zoo::yolov5::{self, Variant, YoloConfig};
use caf_weights::{initial, save_safetensors};

#[test]
fn every_range_is_carried_and_what_is_none_is_refused() {
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
    let classes = ["person".to_owned()];
    for (text, range) in [
        (None, IrRange::Full),
        (Some("\"full\""), IrRange::Full),
        (Some("\"min_max\""), IrRange::MinMax),
        (Some(r#"{"percentile":{"high":99.0,"low":1.0}}"#), IrRange::Percentile { low: 1.0, high: 99.0 }),
        (Some(r#"{"window":{"min":7000.0,"max":9000.0}}"#), IrRange::Window { min: 7000.0, max: 9000.0 }),
    ] {
        write(&fusion, "fusion.safetensors", text);
        // What the task network saw is the fused image.
        write(&task, "task.safetensors", Some("\"full\""));
        let fusion = FusionFile::open(&path("fusion.safetensors")).unwrap();
        let tasks = [TaskFile::open(&path("task.safetensors"), Some(&classes)).unwrap()];
        for parts in [Parts::Fusion(&fusion), Parts::Pipeline(&fusion, &tasks)] {
            let model = Model::new(parts, &Settings::default()).unwrap();
            assert_eq!(model.contract().infrared_range, range, "{text:?}");
        }
        write(&task, "task.safetensors", text);
        let tasks = [TaskFile::open(&path("task.safetensors"), Some(&classes)).unwrap()];
        let model = Model::new(Parts::Tasks(&tasks), &Settings::default()).unwrap();
        assert_eq!(model.contract().infrared_range, range, "{text:?}");
    }
    for wrong in ["full", r#"{"percentile":{"high":1.0,"low":99.0}}"#, r#"{"window":{"min":1.0}}"#, "\"best\""] {
        write(&fusion, "wrong.safetensors", Some(wrong));
        let error = FusionFile::open(&path("wrong.safetensors")).unwrap_err().to_string();
        assert!(error.contains("ir_range") && error.contains("wrong.safetensors"), "{wrong}: {error}");
    }
}
