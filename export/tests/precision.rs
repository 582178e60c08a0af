//! Graphs in half precision and on integers, run by ONNX Runtime, against plain loops in double precision.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

mod common;

use caf_contract::Precision;
use caf_engine::{Array, Engine, EngineOptions, Values};
use caf_export::precision::{
    Activations, HalfPlan, Int8Plan, Int8Settings, Plan, REDUCED, Range, convolutions, values_to_calibrate,
};
use caf_export::{ExportError, ExportOptions, onnx};
use caf_net::zoo::caf::{self, CafConfig};
use caf_net::zoo::yolov5::{self, Variant, YoloConfig};
use caf_net::{Element, Graph};
use caf_reference::{Case, cases};
use caf_weights::{HostTensor, Weights, initial};
use common::engine_present;
use std::collections::{BTreeSet, HashMap};

fn run(graph: &Graph, weights: &Weights, plan: &Plan, inputs: &[(&str, Array)]) -> Vec<(String, Array)> {
    let options = ExportOptions { plan: plan.clone(), ..ExportOptions::default() };
    let bytes = onnx(graph, weights, &options).unwrap();
    Engine::from_bytes("a graph", &bytes, EngineOptions::CPU).unwrap().run(inputs).unwrap()
}

fn values(array: &Array) -> Vec<f64> {
    match &array.values {
        Values::F32(v) => v.iter().map(|v| f64::from(*v)).collect(),
        Values::U8(v) => v.iter().map(|v| f64::from(*v)).collect(),
    }
}

fn inputs(case: &Case) -> Vec<(&str, Array)> {
    let given = case.graph.inputs().iter().zip(&case.inputs);
    given
        .map(|(input, x)| {
            let values = match case.graph.type_of(input.value).element {
                Element::F32 => Values::F32(x.values.iter().map(|v| *v as f32).collect()),
                Element::U8 => Values::U8(x.values.iter().map(|v| *v as u8).collect()),
            };
            (input.name.as_str(), Array { shape: x.shape.clone(), values })
        })
        .collect()
}

/// A rounding to half precision is 2^-11 of a value; inputs, weights and results are rounded, and sums of a hundred products lose in
/// each: 2^-7 of the largest value of the results leaves room for what cancels.
const HALF: f64 = 1.0 / 128.0;

#[test]
fn every_op_in_half_precision_is_that_of_the_loops_to_half_precision() {
    if !engine_present("every_op_in_half_precision_is_that_of_the_loops_to_half_precision") {
        return;
    }
    for case in cases() {
        // Indices jump where values are nearly equal.
        if case.graph.outputs().iter().any(|o| case.graph.type_of(o.value).element == Element::U8) {
            continue;
        }
        for imitated in [false, true] {
            let plan = Plan::Half(HalfPlan { imitated, ..HalfPlan::default() });
            let single = run(&case.graph, &case.weights, &Plan::Single, &inputs(&case));
            for ((name, found), (_, expected)) in
                run(&case.graph, &case.weights, &plan, &inputs(&case)).iter().zip(&single)
            {
                assert!(
                    matches!(found.values, Values::F32(_)),
                    "{} {name}: outputs stay in single precision",
                    case.name
                );
                let (found, expected) = (values(found), values(expected));
                let largest = expected.iter().map(|v| v.abs()).fold(1e-3, f64::max);
                let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(worst <= HALF * largest, "{} {name} (imitated {imitated}): {worst} of {largest}", case.name);
            }
        }
    }
}

/// A narrow fusion network with images for it, and with statistics that folding must get right.
fn fusion() -> (Graph, Weights, Vec<(&'static str, Array)>) {
    let graph = caf::graph(&CafConfig { width: 8, depth: 2, normalised: true }).unwrap();
    let weights = initial(graph.params(), 3).unwrap();
    let image = |seed: usize| {
        let values = (0..24 * 32).map(|i| ((i * (7 + seed) + i / 32 * 13) % 97) as f32 / 96.0).collect();
        Array { shape: vec![1, 1, 24, 32], values: Values::F32(values) }
    };
    (graph, weights, vec![("ir", image(1)), ("vi", image(4))])
}

/// Smallest and largest value of every tensor that integers need, each from a run that shows it.
fn ranges(graph: &Graph, weights: &Weights, inputs: &[(&str, Array)]) -> HashMap<usize, Range> {
    let all: BTreeSet<String> = convolutions(graph).map(|n| n.name.clone()).collect();
    let mut found = HashMap::new();
    for value in values_to_calibrate(graph, &all) {
        let array = match graph.producer(value) {
            Some(node) => {
                let shown = graph.with_outputs(&[&node.name]).unwrap();
                run(&shown, weights, &Plan::Single, inputs).remove(0).1
            }
            None => {
                let name = &graph.inputs().iter().find(|i| i.value == value).unwrap().name;
                inputs.iter().find(|(n, _)| n == name).unwrap().1.clone()
            }
        };
        let range = values(&array).iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        found.insert(value.index(), Range { min: range.0, max: range.1 });
    }
    found
}

fn noise_db(found: &Array, expected: &Array) -> f64 {
    let (found, expected) = (values(found), values(expected));
    let signal: f64 = expected.iter().map(|v| v * v).sum();
    let noise: f64 = found.iter().zip(&expected).map(|(a, b)| (a - b).powi(2)).sum();
    10.0 * (signal / noise).log10()
}

#[test]
fn integers_are_near_and_badly_chosen_ranges_are_not() {
    if !engine_present("integers_are_near_and_badly_chosen_ranges_are_not") {
        return;
    }
    let (graph, weights, inputs) = fusion();
    let single = run(&graph, &weights, &Plan::Single, &inputs);
    let all: BTreeSet<String> = convolutions(&graph).map(|n| n.name.clone()).collect();
    let good = ranges(&graph, &weights, &inputs);
    let shrunk: HashMap<usize, Range> =
        good.iter().map(|(v, r)| (*v, Range { min: r.min * 0.2, max: r.max * 0.2 })).collect();
    for activations in [Activations::U8, Activations::S8] {
        for most_weight in [i8::MAX, REDUCED] {
            let settings = Int8Settings { activations, most_weight };
            let decibel = |ranges: &HashMap<usize, Range>| {
                let plan = Plan::Int8(Int8Plan::new(&graph, all.clone(), ranges, settings).unwrap());
                assert_eq!(plan.precision(), Precision::Int8);
                let found = run(&graph, &weights, &plan, &inputs);
                assert_ne!(found, single);
                noise_db(&found[0].1, &single[0].1)
            };
            // Measured: 49.0 dB for signed integers, 52.7 for unsigned ones.
            let (good, bad) = (decibel(&good), decibel(&shrunk));
            println!("{settings:?}: {good:.1} dB, with ranges of a fifth {bad:.1} dB");
            assert!(good > 46.0 && bad < good - 10.0, "{settings:?}: {good} dB, {bad} dB");
        }
    }
    let some = BTreeSet::from(["nothing".to_owned()]);
    let error = Int8Plan::new(&graph, some, &good, Int8Settings::default()).unwrap_err();
    assert!(error.is_wrong_call() && error.to_string().contains("`nothing`"), "{error}");
    let error = Int8Plan::new(&graph, all, &HashMap::new(), Int8Settings::default()).unwrap_err();
    assert!(error.to_string().contains("was not calibrated"), "{error}");
}

/// With all layers but one in single precision, ONNX Runtime's integers are those of the definition: the convolution of rounded inputs
/// with rounded weights, summed exactly, rounded to the steps of the result.
#[test]
fn a_quantised_convolution_is_that_of_its_definition() {
    if !engine_present("a_quantised_convolution_is_that_of_its_definition") {
        return;
    }
    let (graph, weights, inputs) = fusion();
    let ranges = ranges(&graph, &weights, &inputs);
    // The last convolution has a 1×1 kernel and one output: its definition is a line.
    let plan =
        Int8Plan::new(&graph, BTreeSet::from(["fuse.2.0".to_owned()]), &ranges, Int8Settings::default()).unwrap();
    let shown = graph.with_outputs(&["fuse.1.relu", "fuse.2.0"]).unwrap();
    let single = run(&shown, &weights, &Plan::Single, &inputs);
    let found = run(&shown, &weights, &Plan::Int8(plan), &inputs);
    let (x, y) = (values(&single[0].1), values(&found[1].1));
    let read = |name: &str| weights.get(name).map(HostTensor::to_f64_vec).unwrap().unwrap();
    let (kernel, bias) = (read("fuse.2.0.weight"), read("fuse.2.0.bias")[0]);
    let range_of = |name: &str| {
        let node = graph.nodes().iter().find(|n| n.name == name).unwrap();
        ranges[&node.output.index()]
    };
    let steps = |range: Range| {
        let (low, high) = (range.min.min(0.0), range.max.max(0.0));
        let scale = f64::from(((high - low) / 255.0) as f32);
        (scale, (-low / scale).round())
    };
    let ((x_scale, x_zero), (y_scale, y_zero)) = (steps(range_of("fuse.1.relu")), steps(range_of("fuse.2.0")));
    let w_scale = kernel.iter().map(|w| w.abs()).fold(0.0, f64::max) / 127.0;
    let pixels = x.len() / kernel.len();
    let mut worst: f64 = 0.0;
    for pixel in 0..pixels {
        let sum: f64 = (kernel.iter().enumerate())
            .map(|(c, w)| {
                let x = (x[c * pixels + pixel] / x_scale + x_zero).round_ties_even().clamp(0.0, 255.0) - x_zero;
                x * (w / w_scale).round_ties_even()
            })
            .sum();
        let sum = sum + (bias / (x_scale * w_scale)).round_ties_even();
        let stored = (sum * x_scale * w_scale / y_scale + y_zero).round_ties_even().clamp(0.0, 255.0);
        worst = worst.max((y[pixel] - (stored - y_zero) * y_scale).abs());
    }
    // Scales in single precision move what lies on the border of two steps: one step at most.
    assert!(worst <= y_scale * 1.001, "{worst} of steps of {y_scale}");
}

#[test]
fn a_detector_on_integers_has_nearly_its_predictions() {
    if !engine_present("a_detector_on_integers_has_nearly_its_predictions") {
        return;
    }
    let config = YoloConfig { depth: 0.33, width: 0.125, ..YoloConfig::new(Variant::N, 2) };
    let graph = yolov5::graph(&config).unwrap().with_outputs(&["model.24.m.0", "model.24.m.2"]).unwrap();
    let weights = initial(graph.params(), 2).unwrap();
    let values = (0..3 * 64 * 64).map(|i| ((i * 31 + i / 64 * 7) % 101) as f32 / 100.0).collect();
    let inputs = [("image", Array { shape: vec![1, 3, 64, 64], values: Values::F32(values) })];
    let single = run(&graph, &weights, &Plan::Single, &inputs);
    let ranges = ranges(&graph, &weights, &inputs);
    let all: BTreeSet<String> = convolutions(&graph).map(|n| n.name.clone()).collect();
    let plan = Plan::Int8(Int8Plan::new(&graph, all, &ranges, Int8Settings::default()).unwrap());
    for ((name, found), (_, expected)) in run(&graph, &weights, &plan, &inputs).iter().zip(&single) {
        let decibel = noise_db(found, expected);
        println!("{name}: {decibel:.1} dB");
        // Measured: 50.6 and 51.6 dB; biases of the heads are most of the signal.
        assert!(decibel > 47.0, "{name}: {decibel} dB");
    }
}

#[test]
fn what_half_precision_cannot_hold_is_refused_by_name() {
    let (graph, mut weights, _) = fusion();
    weights.replace("fuse.2.0.bias", HostTensor::from_f32(&[1], &[7e4]).unwrap());
    let options = |single: &[&str]| {
        let single = single.iter().map(|s| (*s).to_owned()).collect();
        ExportOptions { plan: Plan::Half(HalfPlan { single, imitated: false }), ..ExportOptions::default() }
    };
    let error = onnx(&graph, &weights, &options(&[])).unwrap_err();
    assert!(matches!(error, ExportError::Half { .. }) && error.to_string().contains("`fuse.2.0.bias`"), "{error}");
    onnx(&graph, &weights, &options(&["fuse.2.0"])).unwrap();
}
