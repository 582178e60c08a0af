//! Graphs in half precision and on integers, run by ONNX Runtime, against plain loops in double precision.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

mod common;

use caf_contract::Precision;
use caf_engine::{Array, Engine, EngineOptions, Values};
use caf_export::precision::{
    Activations, HalfPlan, Int8Plan, Int8Settings, Plan, REDUCED, Range, convolutions, values_to_calibrate,
};
use caf_export::reduce::Cpu;
use caf_export::verify::Named;
use caf_export::{ExportError, ExportOptions, onnx};
use caf_net::zoo::caf::{self, CafConfig};
use caf_net::zoo::{FUSION_NETWORKS, TASK_NETWORKS};
use caf_net::{Element, Graph, Op};
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

/// Of the largest value of an op's results. Measured: 0.0069, of what cancels in a sum.
const HALF: f64 = 1.0 / 128.0;

#[test]
fn every_op_in_half_precision_is_that_of_the_loops_to_half_precision() {
    if !engine_present("every_op_in_half_precision_is_that_of_the_loops_to_half_precision") {
        return;
    }
    let mut furthest: f64 = 0.0;
    for case in cases() {
        // Indices jump where values are nearly equal.
        if case.graph.outputs().iter().any(|o| case.graph.type_of(o.value).element == Element::U8) {
            continue;
        }
        let expected = caf_reference::run(&case.graph, &case.weights, &case.inputs);
        let file = |plan: &Plan| {
            let options = ExportOptions { plan: plan.clone(), ..ExportOptions::default() };
            onnx(&case.graph, &case.weights, &options).unwrap()
        };
        let single = run(&case.graph, &case.weights, &Plan::Single, &inputs(&case));
        for imitated in [false, true] {
            let plan = Plan::Half(HalfPlan { imitated, ..HalfPlan::default() });
            let found = run(&case.graph, &case.weights, &plan, &inputs(&case));
            // What reads bytes, counts pixels or has no value but 0 and 1 is exact; all else shows that it was rounded.
            let is_exact = case.graph.nodes().iter().all(|node| {
                let reads_bytes = node.inputs.iter().any(|v| case.graph.type_of(*v).element == Element::U8);
                reads_bytes || matches!(node.op, Op::Letterbox { .. } | Op::Indices { .. })
            });
            // A CPU need not show it: ONNX Runtime leaves casts out there. The file has them.
            let same = if imitated { found == single } else { file(&plan) == file(&Plan::Single) };
            assert_eq!(same, is_exact, "{} (imitated {imitated})", case.name);
            for ((name, found), expected) in found.iter().zip(&expected) {
                assert!(
                    matches!(found.values, Values::F32(_)),
                    "{} {name}: outputs stay in single precision",
                    case.name
                );
                let (found, expected) = (values(found), &expected.values);
                let largest = expected.iter().map(|v| v.abs()).fold(1e-3, f64::max);
                let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                furthest = furthest.max(worst / largest);
                assert!(worst <= HALF * largest, "{} {name} (imitated {imitated}): {worst} of {largest}", case.name);
            }
        }
    }
    println!("at most {furthest:.5} of the largest value");
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

/// Smallest and largest value of every tensor that integers need.
fn ranges(graph: &Graph, weights: &Weights, inputs: &[(&str, Array)]) -> HashMap<usize, Range> {
    let all: BTreeSet<String> = convolutions(graph).map(|n| n.name.clone()).collect();
    let wanted = values_to_calibrate(graph, &all);
    let names: Vec<&str> = wanted.iter().filter_map(|v| graph.producer(*v)).map(|node| node.name.as_str()).collect();
    let shown = run(&graph.with_outputs(&names).unwrap(), weights, &Plan::Single, inputs);
    let mut found = HashMap::new();
    for value in wanted {
        let array = match graph.producer(value) {
            Some(node) => &shown.iter().find(|(n, _)| *n == node.name).unwrap().1,
            None => {
                let name = &graph.inputs().iter().find(|i| i.value == value).unwrap().name;
                &inputs.iter().find(|(n, _)| n == name).unwrap().1
            }
        };
        let range = values(array).iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
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
    // Where this machine would cut sums off, models for another are none of its business.
    let weights_of = if Cpu::here() == Cpu::Vnni { vec![i8::MAX, REDUCED] } else { vec![REDUCED] };
    for activations in [Activations::U8, Activations::S8] {
        for most_weight in weights_of.clone() {
            let settings = Int8Settings { activations, most_weight };
            let decibel = |ranges: &HashMap<usize, Range>| {
                let plan = Plan::Int8(Int8Plan::new(&graph, all.clone(), ranges, settings).unwrap());
                assert_eq!(plan.precision(), Precision::Int8);
                let found = run(&graph, &weights, &plan, &inputs);
                assert_ne!(found, single);
                noise_db(&found[0].1, &single[0].1)
            };
            // Measured: 49.0 dB for signed integers, 52.7 for unsigned ones, with all weights.
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
    // The last convolution has a 1×1 kernel and one output: its definition is a line. On every machine: with weights that no sum of
    // theirs is cut off with.
    let settings = Cpu::Avx2.settings(Activations::U8);
    let plan = Int8Plan::new(&graph, BTreeSet::from(["fuse.2.0".to_owned()]), &ranges, settings).unwrap();
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
    let w_scale = kernel.iter().map(|w| w.abs()).fold(0.0, f64::max) / f64::from(REDUCED);
    let pixels = x.len() / kernel.len();
    let (mut worst, mut exact) = (0.0f64, 0);
    for pixel in 0..pixels {
        let sum: f64 = (kernel.iter().enumerate())
            .map(|(c, w)| {
                let x = (x[c * pixels + pixel] / x_scale + x_zero).round_ties_even().clamp(0.0, 255.0) - x_zero;
                x * (w / w_scale).round_ties_even()
            })
            .sum();
        let sum = sum + (bias / (x_scale * w_scale)).round_ties_even();
        let stored = (sum * x_scale * w_scale / y_scale + y_zero).round_ties_even().clamp(0.0, 255.0);
        let steps_away = (y[pixel] / y_scale + y_zero - stored).abs();
        worst = worst.max(steps_away);
        exact += usize::from(steps_away < 1e-3);
    }
    // Scales in single precision move what lies on the border of two steps, by one.
    println!("{exact} of {pixels} pixels are equal, {worst} steps at most");
    assert!(worst <= 1.001 && exact * 100 >= pixels * 99, "{exact} of {pixels} are equal, {worst} steps at most");
}

/// Every network of the zoo at its published widths, with what it makes before any decoding, and images that it takes.
fn zoo() -> Vec<(&'static str, Graph, Named)> {
    let image = |name: &str, channels: usize, [height, width]: [usize; 2], seed: usize| {
        let value = |i: usize| ((i * (7 + seed) + i / width * 13) % 97) as f32 / 96.0;
        let values = Values::F32((0..channels * height * width).map(value).collect());
        (name.to_owned(), Array { shape: vec![1, channels, height, width], values })
    };
    let side = |least: usize, multiple: usize| 32.max(least).next_multiple_of(multiple);
    let mut all = vec![];
    for kind in FUSION_NETWORKS {
        let network = kind.parse(serde_json::json!({})).unwrap();
        let side = side(network.sides().least_px, network.sides().multiple_of_px);
        all.push((
            kind.kind,
            network.graph().unwrap(),
            vec![image("ir", 1, [side; 2], 1), image("vi", 1, [side; 2], 4)],
        ));
    }
    for kind in TASK_NETWORKS {
        let network = kind.parse(serde_json::json!({"classes": 2})).unwrap();
        let side = 2 * side(network.sides().least_px, network.sides().multiple_of_px);
        let graph = network.graph().unwrap().with_outputs(network.raw()).unwrap();
        all.push((kind.kind, graph, vec![image("image", 3, [side; 2], 2)]));
    }
    all
}

/// Networks differ in what integers and half floats meet: weights that several convolutions share, PReLU, mirrored borders, tanh,
/// attention. On every machine: with weights that no sum of theirs is cut off with.
#[test]
fn every_network_is_nearly_itself_in_less_precision() {
    if !engine_present("every_network_is_nearly_itself_in_less_precision") {
        return;
    }
    let mut noisy = Vec::new();
    for (kind, graph, given) in zoo() {
        let weights = initial(graph.params(), 2).unwrap();
        let inputs: Vec<(&str, Array)> = given.iter().map(|(name, array)| (name.as_str(), array.clone())).collect();
        let single = run(&graph, &weights, &Plan::Single, &inputs);
        let ranges = ranges(&graph, &weights, &inputs);
        let all: BTreeSet<String> = convolutions(&graph).map(|n| n.name.clone()).collect();
        let int8 = |activations| {
            let settings = Cpu::Avx2.settings(activations);
            Plan::Int8(Int8Plan::new(&graph, all.clone(), &ranges, settings).unwrap())
        };
        let half = |imitated| Plan::Half(HalfPlan { imitated, ..HalfPlan::default() });
        // Measured at least: 57.2, 57.2, 31.9, 30.6; of DeepLabV3+, whose MobileNetV2 has 52 convolutions behind each other, each of which
        // adds its noise: 56.0, 49.5, 19.7, 18.1.
        let least_db = if kind == "deeplabv3plus" { [54.0, 47.5, 18.0, 16.5] } else { [55.0, 55.0, 30.0, 28.5] };
        let plans = [
            ("fp16", half(false)),
            ("fp16 imitated", half(true)),
            ("int8", int8(Activations::U8)),
            ("int8 signed", int8(Activations::S8)),
        ];
        for ((what, plan), least_db) in plans.into_iter().zip(least_db) {
            for ((name, found), (_, expected)) in run(&graph, &weights, &plan, &inputs).iter().zip(&single) {
                let decibel = noise_db(found, expected);
                println!("{kind} {what} {name}: {decibel:.1} dB");
                if !(decibel > least_db && decibel.is_finite()) {
                    noisy.push(format!("{kind} {what} {name}: {decibel} dB"));
                }
            }
        }
    }
    assert!(noisy.is_empty(), "{noisy:?}");
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
    assert!(error.to_string().contains("layer `fuse.2.0` must stay in fp32"), "{error}");
    onnx(&graph, &weights, &options(&["fuse.2.0"])).unwrap();
}
