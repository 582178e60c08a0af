//! Exported graphs on ONNX Runtime against plain double-precision loops written here.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
mod image;

use caf_export::{Array, Engine, ExportOptions, Values, onnx};
use caf_net::{Activation, Builder, Conv, Dim, Graph, Norm, Op, ParamRole, TensorType, Value, YoloLevel};
use caf_weights::{HostTensor, Weights};
use common::engine_present;
use image::{Image, random};

fn named(name: &str) -> Dim {
    Dim::Named(name.to_owned())
}

fn input(b: &mut Builder, channels: usize) -> Value {
    b.input("x", TensorType::nchw(named("batch"), channels, named("height"), named("width"))).unwrap()
}

fn run(graph: &Graph, weights: &Weights, fold: bool, x: &Image) -> Array {
    run_array(graph, weights, fold, x.to_array())
}

fn run_array(graph: &Graph, weights: &Weights, fold: bool, x: Array) -> Array {
    let bytes = onnx(graph, weights, &ExportOptions { fold, contract: None }).unwrap();
    let outputs = Engine::from_bytes(&bytes).unwrap().run(&[("x", x)]).unwrap();
    outputs.into_iter().next().unwrap().1
}

fn floats(array: &Array) -> &[f32] {
    match &array.values {
        Values::F32(v) => v,
        Values::U8(_) => panic!("floats expected"),
    }
}

/// Largest difference; the shapes must agree.
fn worst(found: &Array, expected: &Image) -> f64 {
    assert_eq!(found.shape, expected.shape());
    floats(found).iter().zip(&expected.values).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

/// A graph of one op without parameters, run on `x`.
fn one_op(op: Op, x: &Image) -> Array {
    let mut b = Builder::new("one");
    let v = input(&mut b, x.c);
    let y = b.node("op", op, &[v]).unwrap();
    b.output("y", y);
    run(&b.finish(), &Weights::new(), true, x)
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
                let values: Vec<f32> = random(n, low, high, seed).iter().map(|v| *v as f32).collect();
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

fn small_reference(w: &Weights, x: &Image) -> Image {
    let get = |name: &str| w.get(name).unwrap().to_f64_vec().unwrap();
    let norm = |x: &Image, name: &str| {
        let [g, s, m, v] = ["weight", "bias", "mean", "var"].map(|part| get(&format!("{name}.{part}")));
        x.map_with_channel(|value, c| (value - m[c]) / (v[c] + 1e-3).sqrt() * g[c] + s[c])
    };
    let x = x.conv(&get("c1.weight"), Some(&get("c1.bias")), [4, 2, 3, 3], 2, 1, 1);
    let x = norm(&x, "n1").map(|v| v.max(0.0)).max_pool(3, 1, 1);
    let x = x.conv(&get("c2.weight"), None, [6, 2, 1, 1], 1, 0, 2);
    norm(&x, "n2").map(|v| v / (1.0 + (-v).exp()))
}

#[test]
fn a_small_network_equals_the_loops_folded_or_not() {
    if !engine_present("a_small_network_equals_the_loops_folded_or_not") {
        return;
    }
    let (graph, weights) = small_network();
    for (n, h, w) in [(1, 8, 8), (2, 7, 11), (1, 5, 4)] {
        let x = Image::random([n, 2, h, w], 7);
        let expected = small_reference(&weights, &x);
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
        let bytes = onnx(&graph, &weights, &ExportOptions { fold, contract: None }).unwrap();
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
    let x = Image { n: 1, c: 1, h: 1, w: 2, values: vec![1.0, -2.0] };
    let found = run(&b.finish(), &w, true, &x);
    // 3x + (3x − 0.5)/2·2 + 1
    assert_eq!(floats(&found), [6.5, -11.5]);
}

#[test]
fn geometry_equals_the_loops() {
    if !engine_present("geometry_equals_the_loops") {
        return;
    }
    let x = Image::random([2, 3, 6, 5], 11);
    let error = worst(&one_op(Op::MaxPool { kernel: 5, stride: 1, padding: 2 }, &x), &x.max_pool(5, 1, 2));
    assert!(error < 1e-7, "max pool {error}");
    let up = Image::build(2, 3, 12, 10, |n, c, y, z| x.at(n, c, y / 2, z / 2));
    assert!(worst(&one_op(Op::UpsampleNearest { factor: 2 }, &x), &up) < 1e-7);
    let pad = Op::Pad { top: 1, bottom: 2, left: 3, right: 0, value: 0.25 };
    let padded = Image::build(
        2,
        3,
        9,
        8,
        |n, c, y, z| {
            if (1..7).contains(&y) && z >= 3 { x.at(n, c, y - 1, z - 3) } else { 0.25 }
        },
    );
    assert!(worst(&one_op(pad, &x), &padded) < 1e-7);
    let mirrored = Image::build(2, 3, 6 + 1 + 5, 5 + 4 + 2, |n, c, y, z| {
        let mirror = |at: isize, side: isize| {
            let at = at.abs();
            (if at < side { at } else { 2 * (side - 1) - at }) as usize
        };
        x.at(n, c, mirror(y as isize - 1, 6), mirror(z as isize - 4, 5))
    });
    let reflect = Op::ReflectPad { top: 1, bottom: 5, left: 4, right: 2 };
    assert!(worst(&one_op(reflect, &x), &mirrored) < 1e-7);
    for (height, width) in [(9, 13), (3, 2), (6, 5), (17, 4)] {
        let error = worst(&one_op(Op::ResizeBilinear { height, width }, &x), &x.resize_bilinear(height, width));
        println!("resize to {height}x{width}: largest error {error:.2e}");
        // Positions in single precision: a few 1e-7 of a pixel, times differences of 1.
        assert!(error < 5e-6, "{error}");
    }
    let middle = Image::build(2, 2, 6, 5, |n, c, y, z| x.at(n, c + 1, y, z));
    assert!(worst(&one_op(Op::Channels { start: 1, len: 2 }, &x), &middle) < 1e-7);
    let clamped = x.map(|v| v.clamp(0.2, 0.6));
    assert!(worst(&one_op(Op::Clamp { min: 0.2, max: 0.6 }, &x), &clamped) < 1e-7);
}

#[test]
fn pointwise_ops_equal_their_formulas() {
    if !engine_present("pointwise_ops_equal_their_formulas") {
        return;
    }
    let x = Image::random([2, 3, 6, 5], 12).map(|v| f64::from((4.0 * v - 2.0) as f32));
    let leaky = Op::Activation(Activation::LeakyRelu { slope: 0.2 });
    assert!(worst(&one_op(leaky, &x), &x.map(|v| if v > 0.0 { v } else { 0.2 * v })) < 1e-7);
    for (scale, shift) in [(0.5, 0.5), (1.0, -0.25), (-3.0, 0.0), (1.0, 0.0)] {
        let error = worst(&one_op(Op::Affine { scale, shift }, &x), &x.map(|v| scale * v + shift));
        // Up to 6.5 in single precision.
        assert!(error < 1e-6, "{scale}·x + {shift}: {error}");
    }
}

#[test]
fn colour_equals_the_definition() {
    if !engine_present("colour_equals_the_definition") {
        return;
    }
    let x = Image::random([1, 3, 4, 7], 13);
    let luma = |n, y, z| 0.299 * x.at(n, 0, y, z) + 0.587 * x.at(n, 1, y, z) + 0.114 * x.at(n, 2, y, z);
    let ycbcr = Image::build(1, 3, 4, 7, |n, c, y, z| match c {
        0 => luma(n, y, z),
        1 => (x.at(n, 2, y, z) - luma(n, y, z)) / 1.772 + 0.5,
        _ => (x.at(n, 0, y, z) - luma(n, y, z)) / 1.402 + 0.5,
    });
    assert!(worst(&one_op(Op::YcbcrFromRgb, &x), &ycbcr) < 5e-7);
    assert!(worst(&one_op(Op::RgbFromYcbcr, &ycbcr), &x) < 1e-6);
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
    let x = Image { n: 1, c: 1, h: 1, w: 5, values };
    let found = run(&b.finish(), &Weights::new(), true, &x);
    assert_eq!(found, Array { shape: vec![1, 1, 5, 1], values: Values::U8(expected) });
}

#[test]
fn heads_decode_by_the_formula_for_open_and_fixed_sizes() {
    if !engine_present("heads_decode_by_the_formula_for_open_and_fixed_sizes") {
        return;
    }
    let level = YoloLevel { classes: 2, stride: 16, anchors_px: vec![[10.0, 20.0], [33.0, 7.0]] };
    let (columns, ny, nx) = (7, 3, 5);
    let head = Image::random([2, 2 * columns, ny, nx], 17).map(|v| 8.0 * v - 4.0);
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    let mut expected = Vec::new();
    for n in 0..2 {
        for (a, anchor) in level.anchors_px.iter().enumerate() {
            for y in 0..ny {
                for x in 0..nx {
                    let s = |k: usize| sigmoid(head.at(n, a * columns + k, y, x));
                    expected.push((2.0 * s(0) - 0.5 + x as f64) * 16.0);
                    expected.push((2.0 * s(1) - 0.5 + y as f64) * 16.0);
                    expected.extend((0..2).map(|k| (2.0 * s(2 + k)).powi(2) * anchor[k]));
                    expected.extend((4..columns).map(s));
                }
            }
        }
    }
    let mut b = Builder::new("decode");
    let x = input(&mut b, 2 * columns);
    let rows = b.node("decode", Op::YoloDecode(level), &[x]).unwrap();
    let rows = b.node("all", Op::ConcatRows, &[rows, rows]).unwrap();
    b.output("y", rows);
    let open = b.finish();
    let fixed = open.bind(&[("batch", 2), ("height", ny), ("width", nx)]).unwrap();
    for graph in [open, fixed] {
        let found = run(&graph, &Weights::new(), true, &head);
        assert_eq!(found.shape, [2, 2 * 2 * ny * nx, columns]);
        let half = 2 * ny * nx * columns;
        let error = (0..2 * 2 * half)
            .map(|i| (f64::from(floats(&found)[i]) - expected[i / (2 * half) * half + i % half]).abs())
            .fold(0.0, f64::max);
        println!("decoding: largest error {error:.2e} px or probability");
        // Boxes up to 132 px in single precision.
        assert!(error < 1e-4, "{error}");
    }
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
        let error = onnx(&graph, &weights, &ExportOptions { fold, contract: None }).unwrap_err().to_string();
        assert!(error.contains("channel 2 has running variance -0.5"), "{error}");
    }
}
