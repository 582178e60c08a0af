//! Fusion networks of other authors against values of the originals, on both engines: a row a weight file.
//!
//! The folders and what is in them: `golden/networks/NAME/README.md`.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use caf_engine::Array;
use caf_golden::{Tally, find};
use caf_net::zoo::fusion::{FusionConfig, FusionNetwork};
use caf_net::zoo::network::kind_of;
use caf_tests::arrays::{as_floats, floats, stored};
use caf_tests::engine::{LIBTORCH, ONNX_FOLDED, ONNX_UNFOLDED};
use caf_tests::golden::{PairCase, cases};
use caf_tests::parity::{Rows, Spread};
use caf_weights::FusionFile;
use serde_json::{Value, json};

/// Weights of an original with what it made of the pairs.
struct Original {
    /// Folder under `golden/networks`.
    folder: &'static str,
    weights: &'static str,
    /// Names of the pairs that this network made; all those with results where there is none.
    pairs: &'static [&'static str],
    /// The network; read off the file's tensors it has its published widths.
    network: Value,
    /// Names of its fused images in the files of results.
    results: &'static [&'static str],
    /// Nodes that make no difference between [−1, 1], as original and results have it, and [0, 1], as here.
    is_signed: bool,
    /// Of fused values, absolute: the README's, from float32 against double precision and other implementations.
    tolerance: f64,
    /// Stored layers: name in the file, node.
    layers: &'static [(&'static str, &'static str)],
}

/// Of a layer, as a share of its largest value: a sum of some thousand products in float32 is off by some
/// √2000 · 2⁻²⁴ = 2.7e-6 of its largest partial sum, and the original is off in its own way.
const LAYERS: f64 = 1e-5;

fn originals() -> Vec<Original> {
    let tardal = |weights, results, layers| Original {
        folder: "tardal",
        weights,
        pairs: &[],
        network: json!({"kind": "tardal"}),
        results,
        is_signed: false,
        tolerance: 5e-6,
        layers,
    };
    let defusion = |pairs, network, results, layers| Original {
        folder: "defusion",
        weights: "weights_seeded_f16",
        pairs,
        network,
        results,
        is_signed: false,
        tolerance: 1e-5,
        layers,
    };
    vec![
        Original {
            folder: "didfuse",
            weights: "weights",
            pairs: &[],
            network: json!({"kind": "didfuse"}),
            results: &["fused", "fused_f64"],
            is_signed: false,
            tolerance: 3e-6,
            layers: &[
                ("ir.feature_1", "ir.cov1"),
                ("vi.feature_2", "vi.cov2"),
                ("ir.feature_B", "ir.cov3"),
                ("vi.feature_B", "vi.cov3"),
                ("ir.feature_D", "ir.cov4"),
                ("vi.feature_D", "vi.cov4"),
                ("sum.cov5", "cov5"),
                ("sum.cov6", "cov6"),
            ],
        },
        Original {
            folder: "didfuse",
            weights: "weights",
            pairs: &[],
            network: json!({"kind": "didfuse", "merge": "average"}),
            results: &["fused_average"],
            is_signed: false,
            tolerance: 3e-6,
            layers: &[],
        },
        Original {
            folder: "sdnet",
            weights: "weights",
            pairs: &[],
            network: json!({"kind": "sdnet"}),
            results: &["fused", "fused_f64"],
            is_signed: true,
            // 3e-6 on the original's scale.
            tolerance: 1.5e-6,
            layers: &[
                ("conv1_ir", "ir/leaky1"),
                ("conv1_vi", "vi/leaky1"),
                ("conv2_ir", "ir/leaky2"),
                ("conv3_vi", "vi/leaky3"),
                ("conv4_ir", "ir/leaky4"),
                ("conv4_vi", "vi/leaky4"),
                ("conv5_fuse", "tanh"),
            ],
        },
        Original {
            folder: "umfusion",
            weights: "weights_seeded",
            pairs: &[],
            network: json!({"kind": "umfusion"}),
            results: &["fused", "fused_f64"],
            is_signed: false,
            tolerance: 5e-6,
            layers: &[
                ("conv1_1", "conv1_1.leaky"),
                ("conv2_1", "conv2_1.leaky"),
                ("ir_path.0.dense_layers", "ir_path.0.dense_layers.2.joined"),
                ("ir_path", "ir_path.0.sum"),
                ("vi_path", "vi_path.0.sum"),
                ("fuse.query_conv", "fuse.query_conv"),
                ("fuse.key_conv", "fuse.key_conv"),
                ("fuse.sig", "fuse.sig"),
                ("fuse.gamma1", "fuse.gamma1"),
                ("fuse.gamma2", "fuse.gamma2"),
                ("fuse.x_out", "fuse.x_out"),
                ("fuse.prior_out", "fuse.prior_out"),
                ("fuse_res", "fuse_res"),
                ("out_conv", "out_conv"),
            ],
        },
        Original {
            folder: "reconet",
            weights: "weights",
            pairs: &[],
            network: json!({"kind": "reconet"}),
            results: &["fused", "fused_f64"],
            is_signed: false,
            tolerance: 3e-6,
            layers: &[
                ("att_ir1", "loop1.ir.attention"),
                ("att_vi3", "loop3.vi.attention"),
                ("loop1.dil_conv_1", "loop1.dil_conv_1.2"),
                ("loop2.dil_conv_2", "loop2.dil_conv_2.2"),
                ("loop3.dil_conv_3", "loop3.dil_conv_3.2"),
                ("loop1.fus_conv.0", "loop1.fus_conv.0"),
                ("loop3.fus_conv.1", "loop3.fus_conv.1"),
                ("f0", "f0"),
                ("f1", "loop1.fused"),
                ("f2", "loop2.fused"),
            ],
        },
        tardal(
            "weights_tardal",
            &["tardal.eval.fused", "tardal.eval.fused_f64"],
            &[
                ("tardal.eval.encoder.0", "encoder.0"),
                ("tardal.eval.encoder", "encoder.1.relu"),
                ("tardal.eval.dense.0", "dense.0.1.relu"),
                ("tardal.eval.dense.2", "dense.2.1.relu"),
                ("tardal.eval.fuse.0", "fuse.0.relu"),
                ("tardal.eval.fuse.1", "fuse.1.1.relu"),
                ("tardal.eval.fuse.2", "fuse.2.1.relu"),
                ("tardal.eval.fuse.3.0", "fuse.3.0"),
            ],
        ),
        defusion(&["p1", "p2", "p3"], json!({"kind": "defusion"}), &["fused", "fused_f64"], &[]),
        // A border of 16 cannot be mirrored in 11 rows.
        defusion(&["probe"], json!({"kind": "defusion", "padding_px": 8}), &["fused", "fused_f64"], &[]),
        defusion(
            &["p3", "probe"],
            json!({"kind": "defusion", "padding_px": 0}),
            &["fused_nopad"],
            &[
                ("nopad.encoder_upper.call1", "ir.encoder_upper.2.layer.5"),
                ("nopad.encoder_upper.2.layer.0.conv2.call2", "vi.encoder_upper.2.layer.0.conv2.weighted"),
                ("nopad.maxpool_upper.call1", "ir.maxpool_upper"),
                ("nopad.upper_encoder_layer1.call2", "vi.upper_encoder_layer1.layer.5"),
                ("nopad.upper_encoder_layer2.layer.0.avd_layer.call1", "ir.upper_encoder_layer2.layer.0.avd_layer"),
                ("nopad.upper_encoder_layer2.layer.0.downsample.call2", "vi.upper_encoder_layer2.layer.0.downsample"),
                ("nopad.upper_encoder_layer2.call1", "ir.upper_encoder_layer2.layer.3"),
                ("nopad.upper_encoder_layer3.call2", "vi.upper_encoder_layer3.layer.3"),
                ("nopad.common_encoder.call1", "common_encoder.0.layer.3"),
                ("nopad.decoder_common_layer1.call1", "common.decoder_common_layer1.layer.1"),
                ("nopad.decoder_common_layer2.call1", "common.decoder_common_layer2.layer.1"),
                ("nopad.decoder_common_layer3.call1", "common.decoder_common_layer3.layer.1"),
                ("nopad.decoder_common_layer4.call1", "common.decoder_common_layer4.0.layer.1"),
                ("nopad.decoder_upper_layer1.call1", "upper.decoder_upper_layer1.layer.3"),
                ("nopad.decoder_upper_layer2.call2", "lower.decoder_upper_layer2.layer.3"),
                ("nopad.decoder_upper_layer3.call1", "upper.decoder_upper_layer3.layer.5"),
                ("nopad.decoder_upper_layer4.call2", "lower.decoder_upper_layer4.0.layer.5"),
                ("fused_nopad", "fusion_rule"),
            ],
        ),
        tardal("weights_tardal_plus", &["tardal_plus.eval.fused", "tardal_plus.eval.fused_f64"], &[]),
        tardal("weights_tardal_plusplus", &["tardal_plusplus.eval.fused", "tardal_plusplus.eval.fused_f64"], &[]),
    ]
}

impl Original {
    /// The network, its weights, and the pairs; none without the reference data.
    fn open(&self, test: &str) -> Option<(FusionConfig, FusionFile, Vec<PairCase>)> {
        let folder = find(test, &format!("golden/networks/{}", self.folder))?;
        let file = FusionFile::open(&folder.join(format!("{}.safetensors", self.weights))).unwrap();
        let config: FusionConfig = serde_json::from_value(self.network.clone()).unwrap();
        let published = kind_of::<dyn FusionNetwork>(config.kind()).unwrap().parse(json!({})).unwrap();
        assert_eq!(file.network, published, "{}: read off its tensors", self.weights);
        let mut pairs = cases(&folder);
        pairs.retain(|case| case.expected.get(self.results[0]).is_some());
        pairs.retain(|case| self.pairs.is_empty() || self.pairs.contains(&case.name.as_str()));
        assert!(!pairs.is_empty(), "{}: no results", self.weights);
        Some((config, file, pairs))
    }

    /// A fused image of the original on the scale of ours; the luma of one in colour.
    fn unit(&self, fused: &Array) -> Array {
        if let [n, 3, height, width] = fused.shape[..] {
            let values = as_floats(fused).chunks_exact(3 * height * width).flat_map(|image| {
                let [r, g, b] = [0, 1, 2].map(|c| &image[c * height * width..][..height * width]);
                r.iter().zip(g).zip(b).map(|((r, g), b)| 0.299 * r + 0.587 * g + 0.114 * b)
            });
            return floats(&[n, 1, height, width], values.collect());
        }
        if self.is_signed { mapped(fused, |v| 0.5 * v + 0.5) } else { mapped(fused, |v| v) }
    }
}

fn mapped(array: &Array, f: impl Fn(f32) -> f32) -> Array {
    floats(&array.shape, as_floats(array).iter().map(|v| f(*v)).collect())
}

#[test]
fn the_original_weights_fuse_as_the_originals_on_both_engines() {
    let test = "the_original_weights_fuse_as_the_originals_on_both_engines";
    let mut tally = Tally::new(test);
    for original in originals() {
        let Some((config, file, pairs)) = original.open(test) else { return };
        for name in original.results {
            let stored = pairs.iter().any(|case| case.expected.get(name).is_some());
            assert!(stored, "{}: no case has `{name}`", original.weights);
        }
        for (engine, load) in [LIBTORCH, ONNX_FOLDED, ONNX_UNFOLDED] {
            let mut runner = load(&config.graph().unwrap(), &file.weights);
            for case in &pairs {
                tally.case(&format!("{} {} {:?}", original.weights, case.name, case.ir.shape));
                let found = runner.run(&[case.ir.clone(), case.vi.clone()]).remove(0);
                for name in original.results {
                    let Some(expected) = case.expected.get(name) else { continue };
                    let spread = Spread::of_arrays(&found, &original.unit(&stored(expected)));
                    Rows::new(&mut tally, config.kind(), engine).add(name, spread, original.tolerance);
                }
            }
        }
    }
    tally.finish();
}

#[test]
fn stored_layers_equal_those_of_the_originals_on_both_engines() {
    let test = "stored_layers_equal_those_of_the_originals_on_both_engines";
    let mut tally = Tally::new(test);
    for original in originals().iter().filter(|original| !original.layers.is_empty()) {
        let Some((config, file, mut pairs)) = original.open(test) else { return };
        pairs.retain(|case| original.layers.iter().all(|(name, _)| case.expected.get(name).is_some()));
        assert!(!pairs.is_empty(), "{}: no case has all layers", original.weights);
        let nodes: Vec<&str> = original.layers.iter().map(|(_, node)| *node).collect();
        let shown = config.graph().unwrap().with_outputs(&nodes).unwrap();
        // Unfolded: a normalisation that is folded leaves no value before it.
        for (engine, load) in [LIBTORCH, ONNX_UNFOLDED] {
            let mut runner = load(&shown, &file.weights);
            for case in &pairs {
                tally.case(&format!("{} {}", original.weights, case.name));
                let found = runner.run(&[case.ir.clone(), case.vi.clone()]);
                for ((name, _), found) in original.layers.iter().zip(found) {
                    let expected = stored(case.expected.get(name).unwrap());
                    let largest = as_floats(&expected).iter().fold(0.0f32, |m, v| m.max(v.abs()));
                    let [found, expected] = [&found, &expected].map(|array| mapped(array, |v| v / largest));
                    let spread = Spread::of_arrays(&found, &expected);
                    Rows::new(&mut tally, config.kind(), engine).add(&format!("layer {name}"), spread, LAYERS);
                }
            }
        }
    }
    tally.finish();
}
