//! SegFormer against the golden data, on any engine.
//!
//! The layout is that of `golden/segformer/README.md`: weights under both common names, inputs, outputs and gradients of both
//! common implementations (`nvlabs_`, `hf_`) in `tiny.safetensors`, configurations and errors in JSON.

use crate::arrays::{as_bytes, as_floats, stored};
use crate::engine::Load;
use crate::parity::{Rows, Spread};
use caf_golden::{Tally, count, items, json};
use caf_net::zoo::network::Network;
use caf_net::zoo::segformer::{Epsilons, SegFormerConfig, class_map, logits};
use caf_net::{Builder, Dim, Graph, TensorType};
use caf_weights::{TaskFile, Weights, load_safetensors};
use serde_json::Value;
use std::path::Path;

/// Stage outputs, logits, losses, input gradient; parameter gradients as shares of the tensor's largest entry. The README measures
/// 3.4e-5, 1.8e-5, 7e-7, 3.4e-6 and 7.3e-5 between float32 and float64, and suggests these.
pub const STAGES: f64 = 3e-4;
/// See [`STAGES`].
pub const LOGITS: f64 = 2e-4;
/// See [`STAGES`].
pub const LOSSES: f64 = 1e-5;
/// See [`STAGES`].
pub const INPUT_GRADIENT: f64 = 5e-5;
/// See [`STAGES`].
pub const GRADIENTS: f64 = 1e-3;

/// The two implementations: the beginning of their tensors' names, and their epsilons.
pub const IMPLEMENTATIONS: [(&str, Epsilons); 2] = [("nvlabs", Epsilons::Original), ("hf", Epsilons::Hub)];
/// The weights under the original names and under those of the hub.
pub const FILES: [(&str, &str); 2] =
    [("original names", "tiny_weights_mmseg_names.safetensors"), ("hub names", "tiny_weights.safetensors")];

/// The stored network, nothing dropped in training.
pub fn config(folder: &Path, epsilons: Epsilons) -> SegFormerConfig {
    let stored = &json(&folder.join("tiny.json"))["config"];
    let four =
        |key: &str| -> [usize; 4] { items(&stored[key]).iter().map(count).collect::<Vec<_>>().try_into().unwrap() };
    SegFormerConfig {
        widths: four("hidden_sizes"),
        depths: four("depths"),
        heads: four("num_attention_heads"),
        reductions: four("sr_ratios"),
        decoder_width: count(&stored["decoder_hidden_size"]),
        classes: count(&stored["num_labels"]),
        epsilons,
        drop_path: 0.0,
        dropout: 0.0,
    }
}

/// Weights of a file under the graph's names, found out as every program does.
pub fn weights(folder: &Path, file: &str) -> Weights {
    let file = TaskFile::open(&folder.join(file)).unwrap();
    assert_eq!(file.network.kind(), SegFormerConfig::KIND);
    file.weights
}

/// Input `pixels`, outputs `logits`, `scores` (at the size of the input) and `classes`.
pub fn graph(config: &SegFormerConfig) -> Graph {
    let mut b = Builder::new("segformer");
    let named = |name: &str| Dim::Named(name.to_owned());
    let pixels = b.input("pixels", TensorType::nchw(named("batch"), 3, named("height"), named("width"))).unwrap();
    let scores = logits(&mut b, config, pixels).unwrap();
    let classes = class_map(&mut b, scores, pixels).unwrap();
    b.output("logits", scores);
    b.output("classes", classes);
    b.finish()
}

/// Everything stored about evaluation, on an engine.
pub fn compare(tally: &mut Tally, folder: &Path, (engine, load): (&str, Load)) {
    let golden = load_safetensors(folder.join("tiny.safetensors")).unwrap();
    let tensor = |name: &str| golden.get(name).unwrap_or_else(|| panic!("no tensor {name}"));
    for (implementation, epsilons) in IMPLEMENTATIONS {
        for (names, file) in FILES {
            tally.case(&format!("{implementation}, {names}"));
            let nodes = ["stage1", "stage2", "stage3", "stage4", "decode_head.linear_pred", "scores", "classes"];
            let shown = graph(&config(folder, epsilons)).with_outputs(&nodes).unwrap();
            let found = load(&shown, &weights(folder, file)).run(&[stored(tensor("pixel_values"))]);
            let network = format!("SegFormer tiny ({implementation})");
            let mut rows = Rows::new(tally, &network, engine);
            for (i, found) in found[..4].iter().enumerate() {
                let expected = stored(tensor(&format!("{implementation}_eval.stage{}", i + 1)));
                rows.add("stage outputs", Spread::of_arrays(found, &expected), STAGES);
            }
            let expected = stored(tensor(&format!("{implementation}_eval.logits")));
            rows.add("logits", Spread::of_arrays(&found[4], &expected), LOGITS);
            let expected = stored(tensor(&format!("{implementation}_eval.upsampled_every3")));
            let sampled = every_third(as_floats(&found[5]), &found[5].shape);
            rows.add("logits at full size", Spread::of(&sampled, as_floats(&expected)), LOGITS);
            let expected = tensor(&format!("{implementation}_eval.argmax"));
            assert_eq!(found[6].shape, expected.shape());
            let gaps = class_gaps(as_floats(&found[5]), [as_bytes(&found[6]), expected.bytes()]);
            rows.close("classes, by how much the other scored less", &gaps, &vec![0.0; gaps.len()], 2.0 * LOGITS);
        }
    }
}

/// For each pixel by how much the expected class scored less than the found one: nothing where they are equal. Two scores of which
/// each may be off by a tolerance change places only when they are within twice of it.
pub fn class_gaps(scores: &[f32], [found, expected]: [&[u8]; 2]) -> Vec<f64> {
    assert_eq!(found.len(), expected.len());
    let score = |class: u8, pixel: usize| f64::from(scores[usize::from(class) * found.len() + pixel]);
    let pair = found.iter().zip(expected).enumerate();
    pair.map(|(pixel, (f, e))| if f == e { 0.0 } else { score(*f, pixel) - score(*e, pixel) }).collect()
}

fn every_third(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let (height, width) = (shape[2], shape[3]);
    let planes = values.chunks_exact(height * width);
    let rows = planes.flat_map(|plane| plane.chunks_exact(width).step_by(3));
    rows.flat_map(|row| row.iter().step_by(3).copied()).collect()
}

/// What `models.json` says about one published size.
pub fn published(folder: &Path, name: &str) -> Value {
    let entry = json(&folder.join("models.json"))[name].clone();
    assert!(entry.is_object(), "models.json says nothing about {name}");
    entry
}
