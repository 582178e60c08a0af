//! Every op on libtorch against plain double-precision loops; what training adds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails by panicking")]

use caf_net::{Builder, Dim, DropUnit, Element, Graph, Op, TensorType};
use caf_reference::{Array, Case, cases, noise};
use caf_torch::{GradOptions, Mode, Params, TorchError, forward, gradients};
use tch::{Device, Kind, Tensor};

fn tensor(x: &Array, kind: Kind) -> Tensor {
    let shape: Vec<i64> = x.shape.iter().map(|n| *n as i64).collect();
    Tensor::from_slice(&x.values).view(shape.as_slice()).to_kind(kind)
}

fn inputs(case: &Case, kind: Kind) -> Vec<Tensor> {
    let kinds = case.graph.inputs().iter().map(|i| match case.graph.type_of(i.value).element {
        Element::F32 => kind,
        Element::U8 => Kind::Uint8,
    });
    case.inputs.iter().zip(kinds).map(|(x, kind)| tensor(x, kind)).collect()
}

#[test]
fn every_op_equals_the_loops() {
    for case in cases() {
        let expected = caf_reference::run(&case.graph, &case.weights, &case.inputs);
        // Sums of a hundred products; single precision has 29 bits less.
        for (kind, tolerance) in [(Kind::Double, 1e-13), (Kind::Float, 1e-5)] {
            let params = Params::from_weights(&case.graph, &case.weights, Device::Cpu, kind).unwrap();
            let inputs = inputs(&case, kind);
            let found = forward(&case.graph, &params, &inputs.iter().collect::<Vec<_>>(), Mode::Eval).unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found.size(), tensor(expected, kind).size(), "{}", case.name);
                let gap = (found.to_kind(Kind::Double) - tensor(expected, Kind::Double)).abs().max().double_value(&[]);
                let allowed = if found.kind() == Kind::Uint8 { 0.0 } else { tolerance * expected.largest().max(1.0) };
                assert!(gap <= allowed, "{} in {kind:?}: {gap:.2e} > {allowed:.0e}", case.name);
            }
        }
    }
}

#[test]
fn every_op_of_floats_is_differentiable() {
    for case in cases() {
        let floats = |graph: &Graph| graph.type_of(graph.outputs()[0].value).element == Element::F32;
        // Counting does not depend on what is counted, and bytes have no derivatives.
        if !floats(&case.graph) || case.name.starts_with("indices") || case.name.starts_with("unit_from_bytes") {
            continue;
        }
        let params = Params::from_weights(&case.graph, &case.weights, Device::Cpu, Kind::Double).unwrap();
        let mut inputs = inputs(&case, Kind::Double);
        inputs[0] = inputs[0].set_requires_grad(true);
        let loss = |inputs: &[Tensor]| {
            let y = forward(&case.graph, &params, &inputs.iter().collect::<Vec<_>>(), Mode::Eval).unwrap().remove(0);
            // Uneven weights, so that a swap of elements shows.
            let weights = noise(&[y.numel()], [0.5, 1.5], 40);
            (y.reshape([-1]) * tensor(&weights, Kind::Double)).sum(Kind::Double)
        };
        let gradient = gradients(&loss(&inputs), &inputs[..1], GradOptions::default()).unwrap().remove(0);
        let direction = tensor(&noise(&[inputs[0].numel()], [-1.0, 1.0], 41), Kind::Double).view_as(&inputs[0]);
        let step = 1e-6;
        let moved = |by: f64| {
            let mut moved: Vec<Tensor> = inputs.iter().map(Tensor::detach).collect();
            moved[0] = &moved[0] + &direction * by;
            loss(&moved).double_value(&[])
        };
        let difference = (moved(step) - moved(-step)) / (2.0 * step);
        let slope = (gradient * &direction).sum(Kind::Double).double_value(&[]);
        assert!((difference - slope).abs() < 1e-6 * (1.0 + slope.abs()), "{}: {difference} {slope}", case.name);
    }
}

fn dropping(rate: f64, unit: DropUnit) -> (Graph, Params) {
    let mut b = Builder::new("drop");
    let named = |name: &str| Dim::Named(name.to_owned());
    let x = b.input("x", TensorType::nchw(named("n"), 50, named("h"), named("w"))).unwrap();
    let first = b.node("first", Op::Dropout { rate, unit }, &[x]).unwrap();
    let second = b.node("second", Op::Dropout { rate, unit }, &[x]).unwrap();
    b.output("first", first);
    b.output("second", second);
    let graph = b.finish();
    let params = Params::init(&graph, 1, Device::Cpu, Kind::Float).unwrap();
    (graph, params)
}

#[test]
fn dropout_drops_whole_units_by_its_seed_and_only_in_training() {
    let x = Tensor::ones([60, 50, 2, 3], (Kind::Float, Device::Cpu));
    for (unit, axes) in [(DropUnit::Sample, &[1i64, 2, 3][..]), (DropUnit::Channel, &[2, 3]), (DropUnit::Element, &[])]
    {
        let (graph, params) = dropping(0.2, unit);
        let run = |mode| forward(&graph, &params, &[&x], mode).unwrap();
        for mode in [Mode::Eval, Mode::BatchStatistics] {
            assert!(run(mode).iter().all(|y| y.equal(&x)));
        }
        let y = run(Mode::train(3, 7));
        assert!(y.iter().zip(run(Mode::train(3, 7))).all(|(a, b)| a.equal(&b)), "a repeated iteration drops the same");
        for other in [Mode::train(3, 8), Mode::train(4, 7)] {
            assert!(!run(other)[0].equal(&y[0]), "another iteration or seed drops otherwise");
        }
        assert!(!y[0].equal(&y[1]), "another place drops otherwise");
        for y in y {
            // No axes would stand for all.
            let whole = || (y.shallow_clone(), y.shallow_clone());
            let (low, high) = if axes.is_empty() { whole() } else { (y.amin(axes, false), y.amax(axes, false)) };
            assert!(low.equal(&high), "a unit is dropped as a whole");
            let kept = low.eq(1.25).to_kind(Kind::Double);
            assert!(
                low.eq(0.0).to_kind(Kind::Double).sum(Kind::Double) + kept.sum(Kind::Double)
                    == Tensor::from(low.numel() as f64)
            );
            let share = kept.mean(Kind::Double).double_value(&[]);
            // One sigma is 0.4 over the root of the number of units, 60 to 18000.
            assert!((share - 0.8).abs() < 1.6 / (low.numel() as f64).sqrt(), "{share} of {unit:?}s kept");
        }
    }
}

#[test]
fn a_border_that_reflects_too_much_is_an_error_that_names_the_node() {
    let mut b = Builder::new("one");
    let named = |name: &str| Dim::Named(name.to_owned());
    let x = b.input("x", TensorType::nchw(named("n"), 1, named("h"), named("w"))).unwrap();
    let y = b.node("border", Op::ReflectPad { top: 4, bottom: 0, left: 0, right: 0 }, &[x]).unwrap();
    b.output("y", y);
    let graph = b.finish();
    let params = Params::init(&graph, 1, Device::Cpu, Kind::Float).unwrap();
    // A side of 4 has three pixels beside its edge.
    let x = Tensor::zeros([1, 1, 4, 5], (Kind::Float, Device::Cpu));
    let error = forward(&graph, &params, &[&x], Mode::Eval).unwrap_err();
    assert!(matches!(&error, TorchError::Op { op: "reflect_pad", node, .. } if node == "border"), "{error}");
}
