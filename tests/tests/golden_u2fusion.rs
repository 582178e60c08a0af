//! U2Fusion with the authors' weights against values of the original, on both engines.
//!
//! The layout is that of `golden/networks/u2fusion/README.md`. The visible images are gray already, so this is the path of the
//! luma. Colours are handled by our own pipeline (BT.601 with offset ½ in place of 128/255) and by rounding, not by stretching to
//! the image's maximum: the files `*_saved.png` of the original's script are no targets of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use caf_golden::{Tally, find};
use caf_net::zoo::fusion::FusionConfig;
use caf_net::zoo::u2fusion::{Source, U2FusionConfig};
use caf_tests::arrays::{as_floats, floats, stored};
use caf_tests::engine::{LIBTORCH, ONNX_FOLDED, ONNX_UNFOLDED};
use caf_tests::golden::{PairCase, cases};
use caf_tests::parity::{Rows, Spread};
use caf_weights::{FusionFile, HostTensor, Weights};
use std::path::Path;

/// Absolute. The README measures 4.8e-7 between float32 implementations and suggests this.
const FUSED: f64 = 3e-6;
/// Intermediate results, as a share of the layer's largest value. A sum of up to 2,376 products in float32 is off by some
/// √2376 · 2⁻²⁴ = 2.9e-6 of its largest partial sum, and the original is off in its own way; measured 2.3e-6.
const LAYERS: f64 = 1e-5;

fn config(first: Source) -> FusionConfig {
    U2FusionConfig { first, ..U2FusionConfig::default() }.into()
}

fn weights(folder: &Path) -> Weights {
    let file = FusionFile::open(&folder.join("weights.safetensors")).unwrap();
    assert_eq!(file.network, config(Source::Ir), "widths and depth, read off the original's variables");
    assert!(file.notes.iter().any(|note| note.contains("10 kernels")), "{:?}", file.notes);
    file.weights
}

#[test]
fn the_original_weights_fuse_as_the_original_on_both_engines() {
    let test = "the_original_weights_fuse_as_the_original_on_both_engines";
    let Some(folder) = find(test, "golden/networks/u2fusion") else { return };
    let mut tally = Tally::new(test);
    let weights = weights(&folder);
    for (engine, load) in [LIBTORCH, ONNX_FOLDED, ONNX_UNFOLDED] {
        for (first, outputs) in [(Source::Vi, &["fused", "fused_f64"][..]), (Source::Ir, &["fused_ir_first"])] {
            let mut runner = load(&config(first).graph().unwrap(), &weights);
            for case in cases(&folder) {
                tally.case(&format!("{} {:?} {first:?} first", case.name, case.ir.shape));
                let found = runner.run(&[case.ir.clone(), case.vi.clone()]).remove(0);
                let expected = outputs.iter().filter_map(|name| case.expected.get(name).map(|tensor| (*name, tensor)));
                for (name, tensor) in expected {
                    let spread = Spread::of_arrays(&found, &stored(tensor));
                    Rows::new(&mut tally, "U2Fusion", engine).add(name, spread, FUSED);
                }
            }
        }
    }
    tally.finish();
}

#[test]
fn every_stored_layer_equals_the_original_on_both_engines() {
    let test = "every_stored_layer_equals_the_original_on_both_engines";
    let Some(folder) = find(test, "golden/networks/u2fusion") else { return };
    let mut tally = Tally::new(test);
    let weights = weights(&folder);
    // Stored as visible first. The name in the file, the node it is.
    let layers = [
        ("dense5", "Generator/encoder/dense_block_conv5/joined"),
        ("dec1", "Generator_1/decoder/conv2_1/leaky"),
        ("dec2", "Generator_1/decoder/conv2_2/leaky"),
        ("dec3", "Generator_1/decoder/conv2_3/leaky"),
        ("dec4", "Generator_1/decoder/conv2_4"),
    ];
    let shown = config(Source::Vi).graph().unwrap().with_outputs(&layers.map(|(_, node)| node)).unwrap();
    let with_layers: Vec<PairCase> =
        cases(&folder).into_iter().filter(|case| case.expected.get(layers[0].0).is_some()).collect();
    assert!(!with_layers.is_empty(), "no case has layers");
    for (engine, load) in [LIBTORCH, ONNX_FOLDED] {
        let mut runner = load(&shown, &weights);
        for case in &with_layers {
            tally.case(&case.name);
            let found = runner.run(&[case.ir.clone(), case.vi.clone()]);
            for ((name, _), found) in layers.iter().zip(found) {
                let expected = stored(case.expected.get(name).unwrap_or_else(|| panic!("{}: no {name}", case.name)));
                let largest = as_floats(&expected).iter().fold(0.0f32, |m, v| m.max(v.abs()));
                let scaled = |array: &caf_engine::Array| {
                    floats(&array.shape, as_floats(array).iter().map(|v| v / largest).collect())
                };
                let spread = Spread::of_arrays(&scaled(&found), &scaled(&expected));
                Rows::new(&mut tally, "U2Fusion", engine).add(&format!("layer {name}, of its maximum"), spread, LAYERS);
            }
        }
    }
    tally.finish();
}

/// With one coloured source the original fuses its luma; the constants of the luma are ours too.
#[test]
fn the_luma_of_a_coloured_pair_is_fused_as_in_the_original() {
    let test = "the_luma_of_a_coloured_pair_is_fused_as_in_the_original";
    let Some(folder) = find(test, "golden/networks/u2fusion") else { return };
    let mut tally = Tally::new(test);
    let weights = weights(&folder);
    let coloured: Vec<PairCase> = cases(&folder).into_iter().filter(|case| case.vi_rgb.is_some()).collect();
    assert!(!coloured.is_empty(), "no case has a coloured image");
    for (engine, load) in [LIBTORCH, ONNX_FOLDED] {
        let mut runner = load(&config(Source::Vi).graph().unwrap(), &weights);
        for case in &coloured {
            tally.case(&case.name);
            let entry = |name: &str| stored(case.expected.get(name).unwrap());
            let luma = caf_tests::arrays::plane(&caf_image::color::luma(case.vi_rgb.as_ref().unwrap()));
            let mut rows = Rows::new(&mut tally, "U2Fusion", engine);
            rows.add("luma of the visible image", Spread::of_arrays(&luma, &entry("color_y")), 3e-7);
            let found = runner.run(&[case.ir.clone(), luma]).remove(0);
            rows.add("fused luma", Spread::of_arrays(&found, &entry("color_fused_y")), FUSED);
        }
    }
    tally.finish();
}

/// A file that keeps kernels as TensorFlow does and one that keeps them as graphs do are the same network.
#[test]
fn kernels_in_either_order_are_one_network() {
    let config = FusionConfig::from(U2FusionConfig { width: 3, depth: 2, decoder: [4, 3, 2], first: Source::Ir });
    let graph = config.graph().unwrap();
    let plain = caf_tests::fixture::weights(&graph, 8);
    let mut tensorflow = Weights::new();
    for (name, tensor) in plain.iter() {
        let tensor = match *tensor.shape() {
            [out, input, 3, 3] => {
                let values = tensor.to_f32_vec().unwrap();
                let mut turned = Vec::new();
                for (place, i) in (0..9).flat_map(|place| (0..input).map(move |i| (place, i))) {
                    turned.extend((0..out).map(|o| values[(o * input + i) * 9 + place]));
                }
                HostTensor::from_f32(&[3, 3, input, out], &turned).unwrap()
            }
            _ => tensor.clone(),
        };
        tensorflow.insert(name, tensor).unwrap();
    }
    let file = FusionFile::of(tensorflow, Path::new("tensorflow")).unwrap();
    assert_eq!((&file.network, file.notes.len()), (&config, 1));
    assert!(file.weights.iter().eq(plain.iter()));
}
