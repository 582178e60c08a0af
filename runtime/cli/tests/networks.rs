//! Every fusion network of the zoo on the vehicle: nothing here names one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use caf_engine::{Array, Engine, EngineOptions, Values};
use caf_export::model::{FusionFile, Model, Parts, Settings};
use caf_export::{ExportOptions, onnx};
use caf_net::zoo::FUSION_NETWORKS;
use caf_net::zoo::pipeline::{ColourMode, Samples};
use caf_weights::{Metadata, initial, save_safetensors};
use common::{save_gray, succeeds, text};

/// A folder of mixed sizes, fused by the program, against the network alone in floats.
#[test]
fn every_fusion_network_fuses_a_folder_of_mixed_sizes() {
    for kind in FUSION_NETWORKS {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let network = kind.parse(serde_json::json!({})).unwrap();
        let graph = network.graph().unwrap();
        let mut weights = initial(graph.params(), 3).unwrap();
        Metadata::of_network(&network).write_to(&mut weights);
        save_safetensors(&weights, at("fusion.safetensors")).unwrap();
        let file = FusionFile::open(&at("fusion.safetensors")).unwrap();
        let settings = Settings { samples: Samples::Bytes, colour: ColourMode::Gray, ..Settings::default() };
        let model = Model::new(Parts::Fusion(&file), &settings).unwrap();
        std::fs::write(at("m.onnx"), model.to_onnx(true).unwrap()).unwrap();

        let step = network.sides().multiple_of_px;
        let sizes = [(33, 21), (18, 40), (32, 32)]
            .map(|(w, h): (usize, usize)| (w.next_multiple_of(step), h.next_multiple_of(step)));
        for (i, (width, height)) in sizes.into_iter().enumerate() {
            save_gray(&at(&format!("ir/{i}.png")), width, height, i);
            save_gray(&at(&format!("vi/{i}.png")), width, height, i + 9);
        }
        let (m, ir, vi, out) = (at("m.onnx"), at("ir"), at("vi"), at("out"));
        succeeds(&["fuse", "--model", text(&m), "--ir", text(&ir), "--vi", text(&vi), "--out", text(&out)]);

        let alone = onnx(&graph, &weights, &ExportOptions { fold: false, ..ExportOptions::default() }).unwrap();
        let mut engine = Engine::from_bytes("alone", &alone, EngineOptions::default()).unwrap();
        for (i, (width, height)) in sizes.into_iter().enumerate() {
            let read = |path: &str| image::open(at(path)).unwrap().into_luma8().into_raw();
            let unit = |path: &str| {
                let values = read(path).into_iter().map(|v| f32::from(v) / 255.0).collect();
                Array { shape: vec![1, 1, height, width], values: Values::F32(values) }
            };
            let inputs = [("ir", unit(&format!("ir/{i}.png"))), ("vi", unit(&format!("vi/{i}.png")))];
            let (_, fused) = engine.run(&inputs).unwrap().remove(0);
            let Values::F32(fused) = fused.values else { panic!("{kind:?} makes no floats") };
            let found = read(&format!("out/{i}.png"));
            assert_eq!(found.len(), fused.len(), "{kind:?}");
            for (found, fused) in found.iter().zip(&fused) {
                let level = (fused.clamp(0.0, 1.0) * 255.0).round();
                assert!((f32::from(*found) - level).abs() <= 1.0, "{kind:?} {width}x{height}: {found} against {level}");
            }
        }
    }
}
