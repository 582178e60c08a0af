//! The β step on a small problem of its own: derivative, freedom from side effects, degenerate directions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests stop at the line that fails"
)]

use caf_fusion_loss::{FusionLoss, LossConfig, LossError, Saliency, Sources, Terms, Weighting};
use caf_net::Graph;
use caf_net::zoo::caf::{CafConfig, graph};
use caf_search::hypergradient::{
    Distance, Form, FusionBatch, FusionTrace, HypergradientError, Problem, Radius, Settings, hypergradient,
};
use caf_torch::optim::{Adam, AdamConfig};
use caf_torch::{GradOptions, Mode, Params, forward, gradients};
use tch::{Device, Kind, Tensor};

/// Of a logit: short, so that no kink of the terms is crossed; the loss is rounded at 1e-16.
const STEP: f64 = 1e-6;
const OPTIONS: (Kind, Device) = (Kind::Double, Device::Cpu);

struct Small {
    graph: Graph,
    omega: Params,
    loss: FusionLoss,
    sources: Sources,
    val: [Tensor; 2],
    kernel: Tensor,
    labels: Tensor,
    /// Whether the task looks at the fused image at all.
    sighted: bool,
}

/// Smooth images, so that gradients are far from noise.
fn waves(phase: f64) -> Tensor {
    let at = Tensor::arange(2 * 20 * 18, OPTIONS) * 0.37 + phase;
    (at.sin() * 0.3 + (at * 0.013).cos() * 0.2 + 0.5).reshape([2, 1, 20, 18])
}

fn small() -> Small {
    let graph = graph(&CafConfig { width: 4, depth: 2, normalised: true }).unwrap();
    let omega = Params::init(&graph, 5, Device::Cpu, Kind::Double).unwrap();
    let loss = FusionLoss::new(&LossConfig::paper(), Device::Cpu, Kind::Double).unwrap();
    let sources = loss.sources(&waves(0.0), &waves(1.3), &Saliency::Complementary(waves(2.6))).unwrap();
    let kernel = ((Tensor::arange(27, OPTIONS) * 1.7).sin() * 0.4).reshape([3, 1, 3, 3]).set_requires_grad(true);
    let labels = (Tensor::arange(2 * 3 * 20 * 18, OPTIONS) * 0.9).cos().reshape([2, 3, 20, 18]);
    Small { graph, omega, loss, sources, val: [waves(4.0), waves(5.5)], kernel, labels, sighted: true }
}

impl Small {
    fn image(&self, omega: &Params, ir: &Tensor, vi: &Tensor) -> Result<Tensor, HypergradientError> {
        Ok(forward(&self.graph, omega, &[ir, vi], Mode::BatchStatistics)?.remove(0))
    }

    fn batch(&self) -> FusionBatch<'_> {
        FusionBatch { graph: &self.graph, loss: &self.loss, sources: &self.sources, mode: Mode::BatchStatistics }
    }

    fn logits(&self) -> Tensor {
        (Tensor::arange(self.loss.active().len() as i64, OPTIONS) * 2.1).sin()
    }
}

impl Problem for Small {
    type Trace = FusionTrace;

    fn terms(&self, omega: &Params) -> Result<Terms, HypergradientError> {
        self.batch().terms(omega)
    }

    fn terms_traced(&self, omega: &Params) -> Result<(Terms, FusionTrace), HypergradientError> {
        self.batch().terms_traced(omega)
    }

    fn terms_along(&self, trace: FusionTrace, omega: &Params, v: &[Tensor]) -> Result<Vec<f64>, HypergradientError> {
        self.batch().terms_along(trace, omega, v)
    }

    fn validation_loss(&self, omega: &Params) -> Result<Tensor, HypergradientError> {
        let image = self.image(omega, &self.val[0], &self.val[1])?;
        let image = if self.sighted { image } else { image.zeros_like() };
        let seen = image.f_conv2d(&self.kernel, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1)?;
        Ok((seen.tanh() - &self.labels).square().mean(Kind::Double))
    }
}

fn settings(form: Form, weighting: Weighting) -> Settings {
    Settings { eta: 0.05, radius: Radius::OverNorm(1e-6), form, compare: false, weighting }
}

/// L_val after one step of the fusion network with these logits.
fn unrolled(problem: &Small, logits: &Tensor, eta: f64, weighting: Weighting) -> f64 {
    let leaves: Vec<Tensor> = problem.omega.trainable().iter().map(|t| t.detach().set_requires_grad(true)).collect();
    let omega = problem.omega.with_trainable(&leaves).unwrap();
    let terms = problem.terms(&omega).unwrap();
    let grads = gradients(&weighting.total(&terms, logits).unwrap(), &leaves, GradOptions::default()).unwrap();
    let stepped: Vec<Tensor> = leaves.iter().zip(&grads).map(|(x, g)| x.detach() - g * eta).collect();
    let omega = problem.omega.with_trainable(&stepped).unwrap();
    f64::try_from(problem.validation_loss(&omega).unwrap()).unwrap()
}

#[test]
fn it_is_the_derivative_of_the_unrolled_loss() {
    let problem = small();
    for weighting in [Weighting::Softmax, Weighting::Direct] {
        let logits = match weighting {
            Weighting::Softmax => problem.logits(),
            Weighting::Direct => problem.logits().softmax(-1, Kind::Double),
        };
        let found = hypergradient(&problem, &problem.omega, &logits, &settings(Form::Exact, weighting), None).unwrap();
        let largest = found.gradient.iter().fold(0f64, |m, g| m.max(g.abs()));
        assert!(largest > 1e-7, "the problem must have a gradient worth comparing, found {largest:e}");
        for i in 0..logits.size()[0] {
            let at = |step: f64| {
                let moved = logits.copy();
                let _ = moved.narrow(0, i, 1).f_add_scalar_(step).unwrap();
                unrolled(&problem, &moved, 0.05, weighting)
            };
            let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            let g = found.gradient[i as usize];
            // Central differences of the whole unrolled step agree to 6e-6 at worst in the golden set's README.
            assert!((slope - g).abs() < 2e-5 * largest, "{weighting:?} {i}: {g:e}, by differences {slope:e}");
        }
    }
}

#[test]
fn both_forms_agree_at_a_short_radius() {
    let problem = small();
    for form in [Form::FiniteDifference, Form::Exact] {
        let settings = settings(form, Weighting::Softmax);
        let both = Settings { compare: true, ..settings };
        let result = hypergradient(&problem, &problem.omega, &problem.logits(), &both, None).unwrap();
        let distance = result.distance.unwrap();
        assert!(distance.relative < 1e-5 && distance.cosine > 1.0 - 1e-9, "{distance:?}");
        let alone = hypergradient(&problem, &problem.omega, &problem.logits(), &settings, None).unwrap();
        assert_eq!((&result.gradient, None), (&alone.gradient, alone.distance));
        assert_eq!(result.radius.is_some(), form == Form::FiniteDifference);
    }
}

/// Every bit a β step could touch.
fn state(problem: &Small, logits: &Tensor, adam: &Adam) -> Vec<Vec<u8>> {
    let bytes = |t: &Tensor| {
        let t = t.detach().contiguous();
        let mut bytes = vec![0u8; t.numel() * t.kind().elt_size_in_bytes()];
        t.copy_data_u8(&mut bytes, t.numel());
        bytes
    };
    let flags = |t: &Tensor| vec![u8::from(t.requires_grad()), u8::from(t.grad().defined())];
    let mut all: Vec<Vec<u8>> = problem.omega.tensors().iter().flat_map(|t| [bytes(t), flags(t)]).collect();
    let kept = [&problem.kernel.grad(), &problem.kernel, &problem.labels, &problem.val[0], &problem.val[1], logits];
    all.extend(kept.into_iter().flat_map(|t| [bytes(t), flags(t)]));
    all.extend([problem.sources.ir(), problem.sources.vi()].map(bytes));
    let mut saved = caf_weights::Weights::new();
    adam.save(&mut saved, "adam.").unwrap();
    all.extend(saved.iter().map(|(_, host)| host.bytes().to_vec()));
    all
}

#[test]
fn nothing_is_left_behind() {
    let problem = small();
    let logits = problem.logits().set_requires_grad(true);
    // A gradient accumulated by a task step before, and an optimiser that has moved once.
    problem.validation_loss(&problem.omega).unwrap().backward();
    assert!(problem.kernel.grad().defined());
    let moved = problem.omega.deep_clone().unwrap().trainable();
    let mut adam = Adam::new(AdamConfig::default(), &moved).unwrap();
    let grads: Vec<Tensor> = moved.iter().map(|t| t.detach().sin()).collect();
    adam.step(&moved, &grads, 1e-3).unwrap();

    let before = state(&problem, &logits, &adam);
    assert!(before.len() > 40, "{} parts", before.len());
    for form in [Form::FiniteDifference, Form::Exact] {
        for compare in [false, true] {
            let settings = Settings { compare, ..settings(form, Weighting::Softmax) };
            hypergradient(&problem, &problem.omega, &logits, &settings, None).unwrap();
        }
        assert!(before == state(&problem, &logits, &adam), "{form:?} changed something");
    }
    // The comparison can fail: one training pass moves the running statistics.
    let (ir, vi) = (problem.sources.ir(), problem.sources.vi());
    forward(&problem.graph, &problem.omega, &[ir, vi], Mode::Train { seed: 0 }).unwrap();
    assert!(before != state(&problem, &logits, &adam));
}

#[test]
fn a_task_that_sees_nothing_gives_no_direction() {
    let problem = Small { sighted: false, ..small() };
    for form in [Form::FiniteDifference, Form::Exact] {
        let settings = Settings { compare: true, ..settings(form, Weighting::Softmax) };
        let found = hypergradient(&problem, &problem.omega, &problem.logits(), &settings, None).unwrap();
        assert_eq!((found.v_norm, found.radius), (0.0, None));
        assert_eq!(found.gradient, vec![0.0; 13]);
        assert_eq!(found.distance, Some(Distance { relative: 0.0, cosine: 1.0 }));
    }
}

#[test]
fn a_term_that_is_not_finite_stops_the_step_by_name() {
    let mut problem = small();
    let holed = problem.omega.trainable().iter().map(|t| t * f64::NAN).collect::<Vec<_>>();
    problem.omega = problem.omega.with_trainable(&holed).unwrap();
    let error = hypergradient(&problem, &problem.omega, &problem.logits(), &Settings::default(), None).unwrap_err();
    assert!(matches!(error, HypergradientError::Loss(LossError::NonFiniteTerm { .. })), "{error}");
    let bad = Settings { eta: 0.0, ..Settings::default() };
    let error = hypergradient(&small(), &small().omega, &small().logits(), &bad, None).unwrap_err();
    assert!(matches!(error, HypergradientError::Setting { setting: "eta", found: 0.0 }), "{error}");
}
