//! Exported graphs on ONNX Runtime against plain double-precision loops.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "helpers of tests stop at the line that fails"
)]

#[path = "../common/mod.rs"]
mod common;

use caf_engine::{Array, Engine, EngineOptions, Values};
use caf_export::{ExportOptions, onnx};
use caf_golden::Tally;
use caf_net::{Activation, Builder, Conv, Dim, Element, Graph, Norm, Op, ParamRole, TensorType, Value, compose};
use caf_reference::{Array as Reference, Case, cases, noise};
use caf_weights::{HostTensor, Weights};
use common::engine_present;

fn named(name: &str) -> Dim {
    Dim::Named(name.to_owned())
}

fn input(b: &mut Builder, channels: usize) -> Value {
    b.input("x", TensorType::nchw(named("batch"), channels, named("height"), named("width"))).unwrap()
}

fn run(graph: &Graph, weights: &Weights, fold: bool, x: &Reference) -> Array {
    run_array(graph, weights, fold, array(x, Element::F32))
}

fn run_array(graph: &Graph, weights: &Weights, fold: bool, x: Array) -> Array {
    let bytes = onnx(graph, weights, &ExportOptions { fold, ..ExportOptions::default() }).unwrap();
    let outputs = Engine::from_bytes("reference", &bytes, EngineOptions::CPU).unwrap().run(&[("x", x)]).unwrap();
    outputs.into_iter().next().unwrap().1
}

fn floats(array: &Array) -> &[f32] {
    match &array.values {
        Values::F32(v) => v,
        Values::U8(_) => panic!("floats expected"),
    }
}

/// Largest difference; the shapes must agree.
fn worst(found: &Array, expected: &Reference) -> f64 {
    assert_eq!(found.shape, expected.shape);
    let found: Vec<f64> = match &found.values {
        Values::F32(v) => v.iter().map(|v| f64::from(*v)).collect(),
        Values::U8(v) => v.iter().map(|v| f64::from(*v)).collect(),
    };
    found.iter().zip(&expected.values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn array(x: &Reference, element: Element) -> Array {
    let values = match element {
        Element::F32 => Values::F32(x.values.iter().map(|v| *v as f32).collect()),
        Element::U8 => Values::U8(x.values.iter().map(|v| *v as u8).collect()),
    };
    Array { shape: x.shape.clone(), values }
}

/// Sampling positions are in single precision: a few 1e-7 of a pixel, times differences up to 2. Sums of a hundred products of
/// size 1 and normalised rows of size 10 lose a few units of the last place, 1e-6 each.
const TOLERANCE: f64 = 1e-5;

#[test]
fn every_op_equals_the_loops_with_open_and_with_fixed_extents() {
    if !engine_present("every_op_equals_the_loops_with_open_and_with_fixed_extents") {
        return;
    }
    let mut tally = Tally::new("every_op_equals_the_loops_with_open_and_with_fixed_extents");
    let open = cases();
    let bound: Vec<Case> = open.iter().filter_map(Case::bound).collect();
    for case in open.iter().chain(&bound) {
        tally.case(&case.name);
        let bytes = onnx(&case.graph, &case.weights, &ExportOptions::default()).unwrap();
        let inputs = case.graph.inputs().iter().zip(&case.inputs);
        let inputs: Vec<(&str, Array)> =
            inputs.map(|(i, x)| (i.name.as_str(), array(x, case.graph.type_of(i.value).element))).collect();
        let found = Engine::from_bytes("reference", &bytes, EngineOptions::CPU).unwrap().run(&inputs).unwrap();
        for ((_, found), expected) in found.iter().zip(caf_reference::run(&case.graph, &case.weights, &case.inputs)) {
            let is_bytes = matches!(found.values, Values::U8(_));
            let (what, tolerance) = if is_bytes { ("bytes", 0.0) } else { ("floats", TOLERANCE) };
            tally.add(what, expected.values.len(), worst(found, &expected), tolerance);
        }
    }
    tally.finish();
}

/// conv 3×3 stride 2 (bias) → norm → relu → max pool 3 → conv 1×1 grouped (no bias) → norm → silu
fn small_network() -> (Graph, Weights) {
    let mut b = Builder::new("small");
    let mut w = Weights::new();
    let x = input(&mut b, 2);
    let mut param = |b: &mut Builder, name: &str, shape: &[usize], role: ParamRole, low: f64, high: f64, seed: u64| {
        let id = b.param(name, shape, role).unwrap();
        let tensor = match role {
            ParamRole::BatchCount => HostTensor::from_i64(shape, &[9]).unwrap(),
            _ => {
                let n = shape.iter().product();
                let values: Vec<f32> = noise(&[n], [low, high], seed).values.iter().map(|v| *v as f32).collect();
                HostTensor::from_f32(shape, &values).unwrap()
            }
        };
        w.insert(name, tensor).unwrap();
        id
    };
    let mut norm = |b: &mut Builder, name: &str, c: usize, seed: u64| Norm {
        weight: param(b, &format!("{name}.weight"), &[c], ParamRole::NormWeight, 0.5, 2.0, seed),
        bias: param(b, &format!("{name}.bias"), &[c], ParamRole::NormBias, -1.0, 1.0, seed + 1),
        running_mean: param(b, &format!("{name}.mean"), &[c], ParamRole::RunningMean, -1.0, 1.0, seed + 2),
        running_var: param(b, &format!("{name}.var"), &[c], ParamRole::RunningVar, 0.1, 3.0, seed + 3),
        batches: param(b, &format!("{name}.count"), &[], ParamRole::BatchCount, 0.0, 0.0, 0),
        eps: 1e-3,
        momentum: 0.03,
    };
    let first_norm = norm(&mut b, "n1", 4, 100);
    let second_norm = norm(&mut b, "n2", 6, 200);
    let weight = param(&mut b, "c1.weight", &[4, 2, 3, 3], ParamRole::ConvWeight, -1.0, 1.0, 1);
    let bias = param(&mut b, "c1.bias", &[4], ParamRole::ConvBias { fan_in: 18 }, -1.0, 1.0, 2);
    let first = Conv { weight, bias: Some(bias), stride: [2, 2], padding: [1, 1], dilation: [1, 1], groups: 1 };
    let weight = param(&mut b, "c2.weight", &[6, 2, 1, 1], ParamRole::ConvWeight, -1.0, 1.0, 3);
    let second = Conv { weight, bias: None, stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 2 };
    let x = b.node("c1", Op::Conv(first), &[x]).unwrap();
    let x = b.node("n1", Op::Norm(first_norm), &[x]).unwrap();
    let x = b.node("r1", Op::Activation(Activation::Relu), &[x]).unwrap();
    let x = b.node("pool", Op::MaxPool { kernel: 3, stride: 1, padding: 1 }, &[x]).unwrap();
    let x = b.node("c2", Op::Conv(second), &[x]).unwrap();
    let x = b.node("n2", Op::Norm(second_norm), &[x]).unwrap();
    let x = b.node("s2", Op::Activation(Activation::Silu), &[x]).unwrap();
    b.output("y", x);
    (b.finish(), w)
}

#[test]
fn a_small_network_equals_the_loops_folded_or_not() {
    if !engine_present("a_small_network_equals_the_loops_folded_or_not") {
        return;
    }
    let (graph, weights) = small_network();
    for (n, h, w) in [(1, 8, 8), (2, 7, 11), (1, 5, 4)] {
        let x = noise(&[n, 2, h, w], [0.0, 1.0], 7);
        let expected = caf_reference::run(&graph, &weights, std::slice::from_ref(&x)).remove(0);
        for fold in [true, false] {
            let error = worst(&run(&graph, &weights, fold, &x), &expected);
            println!("{n}x2x{h}x{w}, folded {fold}: largest error {error:.2e}");
            // Single precision, at most 18 products of size 1 and a gain below 6.
            assert!(error < 2e-5, "{error}");
        }
    }
}

#[test]
fn folding_removes_the_normalisations_and_nothing_else() {
    let (graph, weights) = small_network();
    let count = |fold: bool, op: &[u8]| {
        let bytes = onnx(&graph, &weights, &ExportOptions { fold, ..ExportOptions::default() }).unwrap();
        bytes.windows(op.len()).filter(|w| *w == op).count()
    };
    assert_eq!((count(false, b"BatchNormalization"), count(true, b"BatchNormalization")), (2, 0));
}

#[test]
fn a_convolution_that_is_read_twice_is_not_folded() {
    if !engine_present("a_convolution_that_is_read_twice_is_not_folded") {
        return;
    }
    let (mut b, mut w) = (Builder::new("shared"), Weights::new());
    let x = input(&mut b, 1);
    let mut param = |b: &mut Builder, name: &str, shape: &[usize], role: ParamRole, value: f32| {
        let tensor = match role {
            ParamRole::BatchCount => HostTensor::from_i64(shape, &[0]),
            _ => HostTensor::from_f32(shape, &[value]),
        };
        w.insert(name, tensor.unwrap()).unwrap();
        b.param(name, shape, role).unwrap()
    };
    let weight = param(&mut b, "w", &[1, 1, 1, 1], ParamRole::ConvWeight, 3.0);
    let conv = Conv { weight, bias: None, stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };
    let norm = Norm {
        weight: param(&mut b, "g", &[1], ParamRole::NormWeight, 2.0),
        bias: param(&mut b, "s", &[1], ParamRole::NormBias, 1.0),
        running_mean: param(&mut b, "m", &[1], ParamRole::RunningMean, 0.5),
        running_var: param(&mut b, "v", &[1], ParamRole::RunningVar, 4.0),
        batches: param(&mut b, "n", &[], ParamRole::BatchCount, 0.0),
        eps: 0.0,
        momentum: 0.1,
    };
    let conv = b.node("conv", Op::Conv(conv), &[x]).unwrap();
    let norm = b.node("norm", Op::Norm(norm), &[conv]).unwrap();
    let sum = b.node("sum", Op::Add, &[conv, norm]).unwrap();
    b.output("y", sum);
    // The same value under a second name.
    b.output("again", sum);
    let x = Reference::new(vec![1, 1, 1, 2], vec![1.0, -2.0]);
    let found = run(&b.finish(), &w, true, &x);
    // 3x + (3x − 0.5)/2·2 + 1
    assert_eq!(floats(&found), [6.5, -11.5]);
}

#[test]
fn a_replaced_luma_keeps_cb_and_cr() {
    if !engine_present("a_replaced_luma_keeps_cb_and_cr") {
        return;
    }
    let mut b = Builder::new("colour");
    let rgb = input(&mut b, 3);
    let luma = compose::luma(&mut b, "luma", rgb).unwrap();
    let other = b.node("other", Op::Affine { scale: 0.5, shift: 0.25 }, &[luma]).unwrap();
    let replaced = compose::with_luma(&mut b, "replaced", rgb, [luma, other]).unwrap();
    b.output("y", replaced);
    let x = noise(&[2, 3, 4, 7], [0.0, 1.0], 13);
    // By the definition of full-range BT.601, there and back.
    let expected = Reference::build(&x.shape, |at| {
        let [red, green, blue] = [0, 1, 2].map(|c| x.at(&[at[0], c, at[2], at[3]]));
        let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
        let (cb, cr) = ((blue - luma) / 1.772, (red - luma) / 1.402);
        let luma = 0.5 * luma + 0.25;
        let (red, blue) = (luma + 1.402 * cr, luma + 1.772 * cb);
        [red, (luma - 0.299 * red - 0.114 * blue) / 0.587, blue][at[1]]
    });
    let error = worst(&run(&b.finish(), &Weights::new(), true, &x), &expected);
    // A few roundings of numbers below 2.
    assert!(error < 5e-7, "{error}");
}

#[test]
fn bytes_round_trip_and_round_half_to_even() {
    if !engine_present("bytes_round_trip_and_round_half_to_even") {
        return;
    }
    let mut b = Builder::new("bytes");
    let x = b.input("x", TensorType::nhwc_bytes(named("batch"), named("height"), named("width"), 3)).unwrap();
    let unit = b.node("unit", Op::UnitFromBytes, &[x]).unwrap();
    let bytes = b.node("bytes", Op::BytesFromUnit, &[unit]).unwrap();
    b.output("y", bytes);
    let all: Vec<u8> = (0..=255).chain(0..=255).chain(0..=255).collect();
    let x = Array { shape: vec![1, 16, 16, 3], values: Values::U8(all) };
    assert_eq!(run_array(&b.finish(), &Weights::new(), true, x.clone()), x);

    let mut b = Builder::new("round");
    let x = input(&mut b, 1);
    let y = b.node("bytes", Op::BytesFromUnit, &[x]).unwrap();
    b.output("y", y);
    // −0.1 and 1.5 are clamped; 0.5/255 and 2.5/255 are halves, as far as single precision can say.
    let values = vec![-0.1, 1.5, 0.5 / 255.0, 2.5 / 255.0, 0.7 / 255.0];
    let expected: Vec<u8> =
        values.iter().map(|v| ((*v as f32).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8).collect();
    let x = Reference::new(vec![1, 1, 1, 5], values);
    let found = run(&b.finish(), &Weights::new(), true, &x);
    assert_eq!(found, Array { shape: vec![1, 1, 5, 1], values: Values::U8(expected) });
}

#[test]
fn what_does_not_fit_is_listed_and_bad_variances_are_named() {
    let (graph, mut weights) = small_network();
    weights.insert("surplus", HostTensor::from_f32(&[1], &[0.0]).unwrap()).unwrap();
    weights.replace("c1.bias", HostTensor::from_f32(&[4], &[0.0, f32::NAN, 0.0, 0.0]).unwrap());
    let error = onnx(&graph, &weights, &ExportOptions::default()).unwrap_err().to_string();
    assert!(error.contains("surplus") && error.contains("c1.bias: 1 element(s), the first at 1"), "{error}");
    let (graph, mut weights) = small_network();
    weights.replace("n2.var", HostTensor::from_f32(&[6], &[1.0, 1.0, -0.5, 1.0, 1.0, 1.0]).unwrap());
    for fold in [true, false] {
        let error =
            onnx(&graph, &weights, &ExportOptions { fold, ..ExportOptions::default() }).unwrap_err().to_string();
        assert!(error.contains("channel 2 has running variance -0.5"), "{error}");
    }
}
