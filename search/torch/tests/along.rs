//! Derivatives along a direction of the parameters against differences and against autograd, in 64 bits.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails by panicking")]

use caf_net::zoo::FUSION_NETWORKS;
use caf_net::{Activation, Builder, Conv, Dim, Graph, MeanWindows, Op, ParamRole, TensorType};
use caf_torch::{GradOptions, Mode, Params, TorchError, Trace, forward, forward_traced, gradients};
use serde_json::json;
use tch::{Device, Kind, Tensor};

const OPTIONS: (Kind, Device) = (Kind::Double, Device::Cpu);

fn waves(shape: &[i64], phase: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    let at = Tensor::arange(count, OPTIONS) * 0.37 + phase;
    (at.sin() * 0.3 + (at * 0.013).cos() * 0.2 + 0.5).reshape(shape)
}

fn directions(params: &Params) -> Vec<Tensor> {
    params.trainable().iter().enumerate().map(|(i, t)| waves(&t.size(), i as f64) - 0.5).collect()
}

/// ⟨∂(outputs · weights)/∂ω, direction⟩ by autograd and the same by the trace.
fn both(graph: &Graph, params: &Params, inputs: &[Tensor], mode: Mode) -> [f64; 2] {
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let (recording, leaves) = params.recording().unwrap();
    let y = forward(graph, &recording, &inputs, mode).unwrap().remove(0);
    let weights = waves(&y.size(), 0.3) - 0.4;
    let direction = directions(params);
    let gradient = gradients(&(&y * &weights).sum(Kind::Double), &leaves, GradOptions::default()).unwrap();
    let by_autograd = gradient.iter().zip(&direction).map(|(g, d)| (g * d).sum(Kind::Double).double_value(&[])).sum();
    let (again, trace) = forward_traced(graph, params, &inputs, mode).unwrap();
    assert_eq!((&again[0] - &y).abs().max().double_value(&[]), 0.0);
    let moving = trace.along(graph, params, &direction).unwrap().remove(0);
    [by_autograd, (moving * weights).sum(Kind::Double).double_value(&[])]
}

#[test]
fn every_fusion_network_has_derivatives_along_a_direction() {
    for kind in FUSION_NETWORKS {
        let network = kind.parse(json!({})).unwrap();
        let graph = network.graph().unwrap();
        let params = Params::init(&graph, 3, Device::Cpu, Kind::Double).unwrap();
        let side = network.sides().least_px.max(11) as i64;
        let shape = [2, 1, side, side + 1];
        let inputs = [waves(&shape, 0.0), waves(&shape, 1.1)];
        for mode in [Mode::BatchStatistics, Mode::Eval, Mode::Train { seed: 1 }] {
            let [by_autograd, along] = both(&graph, &params, &inputs, mode);
            let gap = (by_autograd - along).abs();
            assert!(gap < 1e-9 * by_autograd.abs(), "{} {mode:?}: {by_autograd} {along}", kind.kind);
        }
    }
}

/// A graph with all ops that have a rule, some of whose values do not move.
fn of_all_ops() -> Graph {
    let mut b = Builder::new("ops");
    let named = |name: &str| Dim::Named(name.to_owned());
    let image = || TensorType::nchw(named("n"), 2, Dim::Fixed(6), Dim::Fixed(8));
    let (x, still) = (b.input("x", image()).unwrap(), b.input("still", image()).unwrap());
    let conv = |b: &mut Builder, name: &str, x| {
        let weight = b.param(&format!("{name}.weight"), &[2, 2, 3, 3], ParamRole::ConvWeight).unwrap();
        let window = Conv { weight, bias: None, stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };
        b.node(name, Op::Conv(window), &[x]).unwrap()
    };
    let mut y = conv(&mut b, "first", x);
    let activations = [
        Activation::Silu,
        Activation::Gelu,
        Activation::Sigmoid,
        Activation::LeakyRelu { slope: 0.2 },
        Activation::Tanh,
    ];
    for (i, activation) in activations.into_iter().enumerate() {
        y = b.node(&format!("a{i}"), Op::Activation(activation), &[y]).unwrap();
    }
    for (name, slopes) in [("one", 1), ("each", 2)] {
        let slope = b.param(&format!("{name}.slope"), &[slopes], ParamRole::PReluSlope).unwrap();
        // Around zero, so that both sides of the bend are seen; once of what does not move.
        let moved = b.node(&format!("{name}.moved"), Op::Affine { scale: 1.0, shift: -0.5 }, &[y]).unwrap();
        y = b.node(&format!("{name}.prelu"), Op::PRelu { slope }, &[moved]).unwrap();
    }
    let slope = b.param("still.slope", &[1], ParamRole::PReluSlope).unwrap();
    let below = b.node("below", Op::Affine { scale: 1.0, shift: -0.5 }, &[still]).unwrap();
    let below = b.node("still.prelu", Op::PRelu { slope }, &[below]).unwrap();
    y = b.node("with still", Op::Add, &[y, below]).unwrap();
    let second = conv(&mut b, "second", still);
    for (i, (op, other)) in
        [(Op::Add, still), (Op::Sub, still), (Op::Mul, still), (Op::Add, second), (Op::Sub, second), (Op::Mul, second)]
            .into_iter()
            .enumerate()
    {
        y = b.node(&format!("b{i}"), op, &[y, other]).unwrap();
    }
    y = b.node("reversed", Op::Sub, &[still, y]).unwrap();
    y = b.node("affine", Op::Affine { scale: 1.5, shift: 0.3 }, &[y]).unwrap();
    y = b.node("joined", Op::Concat { axis: 1 }, &[still, y]).unwrap();
    y = b.node("part", Op::Slice { axis: 1, start: 1, len: 2 }, &[y]).unwrap();
    y = b.node("larger", Op::UpsampleNearest { factor: 2 }, &[y]).unwrap();
    y = b.node("limited", Op::Clamp { min: 0.7, max: 1.2 }, &[y]).unwrap();
    let four = b.node("four", Op::Concat { axis: 1 }, &[y, y]).unwrap();
    let spread = b.node("spread", Op::PixelShuffle { factor: 2 }, &[four]).unwrap();
    y = b.node("cut", Op::Crop { top: 0, left: 0 }, &[spread, y]).unwrap();
    y = b.node("padded", Op::Pad { top: 1, bottom: 0, left: 2, right: 1, value: 0.7 }, &[y]).unwrap();
    y = b.node("mirrored", Op::ReflectPad { top: 1, bottom: 1, left: 0, right: 2 }, &[y]).unwrap();
    y = b.node("largest", Op::MaxPool { kernel: 3, stride: 2, padding: 1 }, &[y]).unwrap();
    let windows = MeanWindows::Sliding { stride: 1, padding: 1 };
    y = b.node("means", Op::MeanPool { kernel: 3, windows }, &[y]).unwrap();
    y = b.node("tiles", Op::MeanPool { kernel: 2, windows: MeanWindows::Tiles }, &[y]).unwrap();
    y = b.node("resized", Op::ResizeLike, &[y, still]).unwrap();
    let small = b.node("small", Op::Constant { shape: vec![1, 1, 4, 5], values: vec![0.0; 20] }, &[]).unwrap();
    y = b.node("cropped", Op::Crop { top: 1, left: 2 }, &[y, small]).unwrap();
    let mean = b.node("mean", Op::GlobalMean, &[y]).unwrap();
    y = b.node("weighted", Op::Mul, &[y, mean]).unwrap();
    y = b.node("turned", Op::Permute { order: vec![0, 1, 3, 2] }, &[y]).unwrap();
    b.output("y", y);
    b.finish()
}

#[test]
fn every_rule_equals_autograd() {
    let graph = of_all_ops();
    let params = Params::init(&graph, 3, Device::Cpu, Kind::Double).unwrap();
    let inputs = [waves(&[2, 2, 6, 8], 0.0), waves(&[2, 2, 6, 8], 1.1)];
    let [by_autograd, along] = both(&graph, &params, &inputs, Mode::Eval);
    assert!((by_autograd - along).abs() < 1e-12 * by_autograd.abs(), "{by_autograd} {along}");
}

#[test]
fn an_op_without_a_rule_is_named() {
    let mut b = Builder::new("softmax");
    let image = TensorType::nchw(Dim::Fixed(1), 2, Dim::Fixed(4), Dim::Fixed(4));
    let x = b.input("x", image).unwrap();
    let weight = b.param("weight", &[2, 2, 1, 1], ParamRole::ConvWeight).unwrap();
    let window = Conv { weight, bias: None, stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };
    let y = b.node("conv", Op::Conv(window), &[x]).unwrap();
    let y = b.node("share", Op::Softmax { axis: 1 }, &[y]).unwrap();
    b.output("y", y);
    let graph = b.finish();
    let params = Params::init(&graph, 3, Device::Cpu, Kind::Double).unwrap();
    let trace: Trace = forward_traced(&graph, &params, &[&waves(&[1, 2, 4, 4], 0.0)], Mode::Eval).unwrap().1;
    let error = trace.along(&graph, &params, &directions(&params)).unwrap_err();
    assert!(matches!(&error, TorchError::NoTangent { node, .. } if node == "share"), "{error}");
}
