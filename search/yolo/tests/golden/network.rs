//! The small network: forward in both modes, all gradients, running statistics, optimiser steps and average.

use crate::support::{Case, flat, max_abs, max_difference, number, stored_layout};
use caf_net::zoo::yolov5::graph;
use caf_net::{Graph, ParamRole};
use caf_torch::optim::Sgd;
use caf_torch::{GradOptions, Mode, Params, forward, gradients};
use caf_yolo::{Ema, Group, Rates, YoloLoss, clip_gradients};
use tch::{Device, Kind, Tensor};

/// Raw heads in evaluation; the README measures 2.7e-7 between float32 and float64.
const EVAL_HEADS: f64 = 1e-5;
/// Raw heads with batch statistics; measured 6.4e-5.
const TRAIN_HEADS: f64 = 5e-4;
/// Loss from the image on, relative; measured 6e-7.
const LOSS: f64 = 1e-5;
/// Gradients as a share of the tensor's largest entry; measured 1.1e-4.
const GRADIENT: f64 = 1e-3;

fn load(case: &Case) -> (Graph, Params) {
    let graph = graph(&case.network()).unwrap();
    let mut params = Params::from_weights(&graph, &case.weights, Device::Cpu, Kind::Float).unwrap();
    params.set_requires_grad(true);
    (graph, params)
}

fn heads(graph: &Graph, params: &Params, image: &Tensor, mode: Mode) -> Vec<Tensor> {
    let mut all = forward(graph, params, &[image], mode).unwrap();
    all.truncate(3);
    all
}

#[test]
fn evaluation_heads_and_boxes() {
    let (mut values, mut worst) = (0, 0f64);
    let cases = crate::support::cases("evaluation_heads_and_boxes");
    for case in &cases {
        let (graph, params) = load(case);
        let outputs = tch::no_grad(|| forward(&graph, &params, &[&case.image(Kind::Float)], Mode::Eval)).unwrap();
        for (l, head) in outputs.iter().take(3).enumerate() {
            let key = format!("eval_head_l{l}");
            let found = stored_layout(head, case.network().classes);
            let error = max_difference(&found, &case.floats(&key), &key);
            assert!(error <= EVAL_HEADS, "{key}: {error}");
            worst = worst.max(error);
            values += found.len();
        }
        let decoded = &outputs[3];
        let (found, expected) = (flat(decoded), case.floats("eval_decoded"));
        assert_eq!(found.len(), expected.len());
        let columns = 5 + case.network().classes;
        for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
            // The README's tolerances for boxes in pixels and probabilities.
            let tolerance = if i % columns < 4 { 1e-2 } else { 2e-5 };
            assert!((a - b).abs() <= tolerance, "decoded row {} column {}: {a} {b}", i / columns, i % columns);
        }
        values += found.len();
    }
    println!("evaluation: {} cases, {values} values, largest error of a head {worst:.1e}", cases.len());
}

#[test]
fn training_heads_loss_statistics_and_gradients() {
    let (mut values, mut worst_head, mut worst_gradient) = (0, 0f64, 0f64);
    let cases = crate::support::cases("training_heads_loss_statistics_and_gradients");
    for case in &cases {
        let (graph, params) = load(case);
        let image = case.image(Kind::Float).set_requires_grad(true);
        let heads = heads(&graph, &params, &image, Mode::Train);
        for (l, head) in heads.iter().enumerate() {
            let key = format!("train_head_l{l}");
            let error = max_difference(&stored_layout(head, case.network().classes), &case.floats(&key), &key);
            assert!(error <= TRAIN_HEADS, "{key}: {error}");
            worst_head = worst_head.max(error);
            values += head.numel();
        }

        let statistics = case.data.iter().filter_map(|(name, _)| name.strip_prefix("after_forward."));
        let mut seen = 0;
        for name in statistics {
            let key = format!("after_forward.{name}");
            let at = graph.params().iter().position(|p| p.name == name).unwrap_or_else(|| panic!("no {name}"));
            let found = &params.tensors()[at];
            if graph.params()[at].role == ParamRole::BatchCount {
                assert_eq!(found.int64_value(&[]), case.integers(&key)[0], "{name}");
            } else {
                let expected = case.floats(&key);
                let error = max_difference(&flat(found), &expected, &key);
                // A running value moves by 3 % towards that of the batch, whose float32 error is that of the heads.
                assert!(error <= TRAIN_HEADS * max_abs(&expected).max(1.0) * 0.03, "{key}: {error}");
            }
            seen += 1;
            values += found.numel();
        }
        assert!(seen > 0, "{}: no after_forward.*", case.name);

        let loss = YoloLoss::new(&case.network(), &case.hyp(), case.image_size()).unwrap();
        let value = loss.compute(&heads.iter().collect::<Vec<_>>(), &case.targets("targets"), &[]).unwrap();
        let expected = &case.json["loss"]["float32"];
        for (key, found) in
            [("total", &value.total), ("lbox", &value.boxes), ("lobj", &value.objectness), ("lcls", &value.classes)]
        {
            let (found, expected) = (found.double_value(&[]), number(&expected[key]));
            assert!((found - expected).abs() <= LOSS * expected.abs(), "{key}: {found} against {expected}");
            values += 1;
        }

        let names: Vec<&str> =
            graph.params().iter().filter(|p| p.role.is_trainable()).map(|p| p.name.as_str()).collect();
        let stored = case.data.iter().filter(|(name, _)| name.starts_with("grad.")).count();
        assert_eq!(stored, names.len(), "{}: every parameter has its gradient", case.name);
        let mut wrt = params.trainable();
        wrt.push(image.shallow_clone());
        let found = gradients(&value.total, &wrt, GradOptions::default()).unwrap();
        let keys = names.iter().map(|n| format!("grad.{n}")).chain(["grad_input".to_owned()]);
        for (gradient, key) in found.iter().zip(keys) {
            let expected = case.floats(&key);
            let error = max_difference(&flat(gradient), &expected, &key) / max_abs(&expected).max(1e-30);
            assert!(error <= GRADIENT, "{key}: {error} of the largest entry");
            worst_gradient = worst_gradient.max(error);
            values += expected.len();
        }
        let (_, norm) = clip_gradients(&found[..names.len()], 10.0).unwrap();
        let expected = number(&case.json["gradients"]["total_norm_float32"]);
        assert!((norm - expected).abs() <= GRADIENT * expected, "norm {norm} against {expected}");
    }
    println!(
        "training: {} cases, {values} values; largest errors: head {worst_head:.1e}, gradient {worst_gradient:.1e} of the \
         largest entry",
        cases.len()
    );
}

/// Tolerances of the steps: loss of the first and of later steps, norm of the gradient likewise, entries of a weight in the first
/// and in later steps; all but the last two relative.
struct Tolerances {
    kind: Kind,
    values: &'static str,
    loss: [f64; 2],
    norm: [f64; 2],
    weights: [f64; 2],
}

/// In float64 three steps do not amplify rounding to anything visible, so the recipe itself is compared. Measured: loss 7e-13, norm
/// 4e-13. Objects are assigned in float32, which is exact on grids that are powers of two.
const EXACT: Tolerances = Tolerances {
    kind: Kind::Double,
    values: "float64",
    loss: [1e-12, 1e-10],
    norm: [1e-11, 1e-9],
    weights: [1e-10, 1e-9],
};

/// In float32 the README measures 9e-5 for the later losses and 6.5e-4 for the weights. The norm in the third step moves by
/// 2.7e-3 between float32 and float64 and by 2e-2 with the number of threads, so it says little there.
const ROUNDED: Tolerances =
    Tolerances { kind: Kind::Float, values: "float32", loss: [1e-5, 1e-3], norm: [1e-4, 5e-2], weights: [1e-5, 5e-3] };

#[test]
fn optimiser_steps_and_average() {
    for tolerances in [EXACT, ROUNDED] {
        let cases = crate::support::cases("optimiser_steps_and_average");
        let (mut values, mut worst) = (0, [0f64; 2]);
        for case in &cases {
            if tolerances.kind == Kind::Double && !case.image_size().is_power_of_two() {
                println!("{}: {} pixels are no power of two, compared in float32 alone", case.name, case.image_size());
                continue;
            }
            values += steps(case, &tolerances, &mut worst);
        }
        println!(
            "steps in {}: {} cases, {values} values, largest relative errors: loss {:.1e}, norm {:.1e}",
            tolerances.values,
            cases.len(),
            worst[0],
            worst[1]
        );
    }
}

/// Runs the stored steps and gives the number of values compared.
fn steps(case: &Case, tolerances: &Tolerances, worst: &mut [f64; 2]) -> usize {
    let graph = graph(&case.network()).unwrap();
    let mut params = Params::from_weights(&graph, &case.weights, Device::Cpu, tolerances.kind).unwrap();
    params.set_requires_grad(true);
    let image = case.image(tolerances.kind);
    let loss = YoloLoss::new(&case.network(), &case.hyp(), case.image_size()).unwrap();
    let recipe = &case.json["sgd_steps"]["settings"];
    let (rate, decay) = (number(&recipe["lr"]), number(&recipe["weight_decay"]));
    let rates = Rates { bias: rate, others: rate, momentum: number(&recipe["momentum"]), accumulate: 1 };
    let groups: Vec<_> = Group::of_graph(&graph).into_iter().map(|g| g.settings(&rates, decay)).collect();
    let trainable = params.trainable();
    let mut sgd = Sgd::new(&trainable).unwrap();
    let mut ema = Ema::new(&graph, &params, 0).unwrap();
    let mut values = 0;

    let steps = case.json["sgd_steps"][tolerances.values].as_array().unwrap();
    assert!(!steps.is_empty(), "{}: no sgd_steps", case.name);
    for (i, expected) in steps.iter().enumerate() {
        let later = usize::from(i > 0);
        let heads = heads(&graph, &params, &image, Mode::Train);
        let value = loss.compute(&heads.iter().collect::<Vec<_>>(), &case.targets("targets"), &[]).unwrap();
        let found = gradients(&value.total, &trainable, GradOptions::default()).unwrap();
        let (clipped, norm) = clip_gradients(&found, number(&recipe["clip_grad_norm"])).unwrap();
        sgd.step(&trainable, &clipped, &groups, rates.momentum).unwrap();
        ema.update(&params).unwrap();

        for (key, found) in [
            ("total", value.total.double_value(&[])),
            ("lbox", value.boxes.double_value(&[])),
            ("lobj", value.objectness.double_value(&[])),
            ("lcls", value.classes.double_value(&[])),
        ] {
            let expected = number(&expected[key]);
            let error = (found - expected).abs() / expected.abs();
            // The parts are smaller than the total, of which the tolerance is stated.
            let tolerance = tolerances.loss[later] * if key == "total" { 1.0 } else { 5.0 };
            assert!(error <= tolerance, "step {i} {key}: {found} against {expected}");
            worst[0] = worst[0].max(error);
        }
        let expected_norm = number(&expected["grad_norm_before_clip"]);
        let error = (norm - expected_norm).abs() / expected_norm;
        assert!(error <= tolerances.norm[later], "step {i}: norm {norm} against {expected_norm}");
        worst[1] = worst[1].max(error);
        let keep = Ema::decay(ema.updates());
        assert!((keep - number(&expected["ema_decay"])).abs() < 1e-12, "step {i}: {keep}");
        values += 6;
        for (key, of) in [("weights_sum", &params), ("ema_sum", ema.params())] {
            for (name, expected) in expected[key].as_object().unwrap() {
                let tensor = of.by_name(&graph, name);
                let found = tensor.sum(Kind::Double).double_value(&[]);
                // Errors of single entries add like independent ones.
                let tolerance = tolerances.weights[later] * (tensor.numel() as f64).sqrt();
                let expected = number(expected);
                assert!((found - expected).abs() <= tolerance, "step {i} {key} {name}: {found} against {expected}");
                values += 1;
            }
        }
    }

    let mut tensors = 0;
    let last = steps.len();
    for (key, stored) in case.data.iter() {
        let Some((name, of)) = (key.strip_prefix(&format!("after{last}.")).map(|n| (n, &params)))
            .or_else(|| key.strip_prefix(&format!("after{last}_ema.")).map(|n| (n, ema.params())))
        else {
            continue;
        };
        // The stored tensors are float32, whatever is computed here.
        let error = max_difference(&flat(&of.by_name(&graph, name)), &stored.to_f32_vec().unwrap(), key);
        assert!(error <= ROUNDED.weights[1], "{key}: {error}");
        tensors += 1;
        values += stored.len();
    }
    assert!(tensors > 0, "{}: no tensors after the last step", case.name);
    values
}

/// Access by name, which only tests need.
trait ByName {
    fn by_name(&self, graph: &Graph, name: &str) -> Tensor;
}

impl ByName for Params {
    fn by_name(&self, graph: &Graph, name: &str) -> Tensor {
        let at = graph.params().iter().position(|p| p.name == name).unwrap_or_else(|| panic!("no parameter {name}"));
        self.tensors()[at].detach()
    }
}
