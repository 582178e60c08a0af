//! DeepLabV3+ against the golden data, on any engine.
//!
//! The layout is that of `golden/deeplab/README.md`: the weights of a small network, an input and what the original makes of it at both
//! output strides in `tiny.safetensors`, sizes and errors in JSON.

use crate::arrays::{as_bytes, as_floats, stored};
use crate::engine::Load;
use crate::parity::{Rows, Spread};
use crate::segformer::class_gaps;
use caf_golden::{Tally, count, items, json};
use caf_net::zoo::deeplab::{Backbone, DeepLabConfig, MobileNet, OutputStride, Variant, logits};
use caf_net::zoo::segformer::class_map;
use caf_net::zoo::task::TaskNetworkConfig;
use caf_net::{Builder, Dim, Graph, TensorType};
use caf_weights::{Metadata, TaskFile, Weights, load_safetensors};
use serde_json::Value;
use std::path::Path;

/// Everything stored; the README measures 2.1e-5 at most between float32 and float64, with values up to 11, and suggests this.
pub const VALUES: f64 = 2e-4;

/// The output strides, and how the names of their tensors begin.
pub const STRIDES: [(&str, OutputStride); 2] = [("os16", OutputStride::Sixteen), ("os8", OutputStride::Eight)];

/// Nodes of what is stored, in the order of [`STORED`], then scores at the size of the input and their largest.
const NODES: [&str; 6] = [
    "backbone.low_level_features.3.added",
    "backbone.high_level_features.12.conv.3",
    "classifier.aspp.project.2",
    "classifier.classifier.3",
    "scores",
    "classes",
];
/// What the original's results at these places are called.
pub const STORED: [&str; 4] = ["low_level", "out", "aspp", "logits"];

/// The stored network.
pub fn config(folder: &Path, output_stride: OutputStride) -> DeepLabConfig {
    let stored = json(&folder.join("tiny.json"));
    let groups: Vec<Vec<usize>> = items(&stored["inverted_residual_setting_t_c_n_s"])
        .iter()
        .map(|group| items(group).iter().map(count).collect())
        .collect();
    let column = |i: usize| -> [usize; 7] { groups.iter().map(|g| g[i]).collect::<Vec<_>>().try_into().unwrap() };
    let [expansions, widths, blocks, strides] = [0, 1, 2, 3].map(column);
    assert_eq!((expansions, strides), ([1, 6, 6, 6, 6, 6, 6], [1, 2, 2, 2, 1, 2, 1]));
    let head = &stored["head"];
    assert_eq!(head["aspp_channels"], head["classifier_channels"]);
    let stem = count(&stored["first_conv_channels"]);
    DeepLabConfig {
        backbone: Backbone::MobileNet(MobileNet { stem, widths, blocks, expansion: 6 }),
        output_stride,
        fine_width: count(&head["low_level_projection"]),
        head_width: count(&head["aspp_channels"]),
        ..DeepLabConfig::new(Variant::MobileNet, count(&head["num_classes"]))
    }
}

/// Its weights, checked against its graph. Two groups of its backbone are of one width, which a file must say.
pub fn weights(folder: &Path, config: &DeepLabConfig) -> Weights {
    let path = folder.join("tiny_weights.safetensors");
    let mut weights = load_safetensors(&path).unwrap();
    let network = TaskNetworkConfig::from(config.clone());
    Metadata::of_network(&network).write_to(&mut weights);
    let file = TaskFile::of(weights, &path).unwrap();
    assert_eq!(file.network, network);
    file.weights
}

/// Input `pixels`, normalised; outputs the results at the places of `NODES`.
pub fn graph(config: &DeepLabConfig) -> Graph {
    let mut b = Builder::new("deeplabv3plus");
    let named = |name: &str| Dim::Named(name.to_owned());
    let pixels = b.input("pixels", TensorType::nchw(named("batch"), 3, named("height"), named("width"))).unwrap();
    let scores = logits(&mut b, config, pixels).unwrap();
    let classes = class_map(&mut b, scores, pixels).unwrap();
    b.output("classes", classes);
    b.finish().with_outputs(&NODES).unwrap()
}

/// Everything stored, on an engine.
pub fn compare(tally: &mut Tally, folder: &Path, (engine, load): (&str, Load)) {
    let golden = load_safetensors(folder.join("tiny.safetensors")).unwrap();
    let tensor = |name: &str| golden.get(name).unwrap_or_else(|| panic!("no tensor {name}"));
    for (begin, output_stride) in STRIDES {
        tally.case(begin);
        let config = config(folder, output_stride);
        let found = load(&graph(&config), &weights(folder, &config)).run(&[stored(tensor("pixel_values"))]);
        let network = format!("DeepLabV3+ tiny ({begin})");
        let mut rows = Rows::new(tally, &network, engine);
        for (what, found) in STORED.into_iter().zip(&found) {
            let expected = stored(tensor(&format!("{begin}.{what}")));
            rows.add(what, Spread::of_arrays(found, &expected), VALUES);
        }
        let expected = stored(tensor(&format!("{begin}.output_every5")));
        let sampled = every_fifth(as_floats(&found[4]), &found[4].shape);
        rows.add("logits at full size", Spread::of(&sampled, as_floats(&expected)), VALUES);
        let expected = tensor(&format!("{begin}.argmax"));
        assert_eq!(found[5].shape, expected.shape());
        let gaps = class_gaps(as_floats(&found[4]), [as_bytes(&found[5]), expected.bytes()]);
        rows.close("classes, by how much the other scored less", &gaps, &vec![0.0; gaps.len()], 2.0 * VALUES);
    }
}

fn every_fifth(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let (height, width) = (shape[2], shape[3]);
    let planes = values.chunks_exact(height * width);
    let rows = planes.flat_map(|plane| plane.chunks_exact(width).step_by(5));
    rows.flat_map(|row| row.iter().step_by(5).copied()).collect()
}

/// What `models.json` says about one published size.
pub fn published(folder: &Path, name: &str) -> Value {
    let entry = json(&folder.join("models.json"))[name].clone();
    assert!(entry.is_object(), "models.json says nothing about {name}");
    entry
}
