//! What the mathematics of the β step demands of every problem: weights of constant sum, terms without an order, losses without a
//! unit, and a search whose end is known in closed form.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests stop at the line that fails"
)]

use caf_fusion_loss::{FusionLoss, LossConfig, Saliency, Sources, Term, Terms, Weighting};
use caf_net::zoo::caf::{CafConfig, graph};
use caf_net::{Builder, Graph, ParamRole};
use caf_search::hypergradient::{
    Evaluation, Form, FusionBatch, FusionTrace, Hypergradient, HypergradientError, Problem, Radius, Settings,
    hypergradient,
};
use caf_torch::optim::{Adam, AdamConfig};
use caf_torch::{Mode, Params, forward};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor, no_grad};

const OPTIONS: (Kind, Device) = (Kind::Double, Device::Cpu);
const FORMS: [Form; 2] = [Form::Exact, Form::FiniteDifference];
const WEIGHTINGS: [Weighting; 2] = [Weighting::Softmax, Weighting::Direct];

fn values(x: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(x.detach().reshape([-1]).contiguous()).unwrap()
}

/// Terms ½ Σⱼ aᵢⱼ (ωⱼ − cᵢⱼ)² and the task's loss s/2 ‖ω − t‖², of parameters ω `[n]` without a network.
struct Quadratic {
    omega: Params,
    /// aᵢⱼ, `[terms, n]`.
    curvatures: Tensor,
    /// cᵢⱼ, `[terms, n]`.
    centres: Tensor,
    /// t, `[n]`.
    target: Tensor,
    /// What all terms are multiplied by.
    terms_by: f64,
    /// s.
    task_by: f64,
}

impl Quadratic {
    fn new(omega: &[f64], curvatures: Tensor, centres: Tensor, target: Tensor) -> Self {
        let mut builder = Builder::new("quadratic");
        builder.param("omega", &[omega.len()], ParamRole::ZeroBias).unwrap();
        let fresh = Params::init(&builder.finish(), 0, Device::Cpu, Kind::Double).unwrap();
        let omega = fresh.with_trainable(&[Tensor::from_slice(omega)]).unwrap();
        Quadratic { omega, curvatures, centres, target, terms_by: 1.0, task_by: 1.0 }
    }

    /// Numbers drawn by a seed; curvatures are positive.
    fn random(seed: u64, terms: i64, n: i64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |len: i64| (0..len).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f64>>();
        let omega = draw(n);
        let curvatures = Tensor::from_slice(&draw(terms * n)).reshape([terms, n]).exp();
        let centres = Tensor::from_slice(&draw(terms * n)).reshape([terms, n]);
        let target = Tensor::from_slice(&draw(n));
        Quadratic::new(&omega, curvatures, centres, target)
    }

    fn away(&self, omega: &Params) -> Tensor {
        &omega.trainable()[0] - &self.centres
    }
}

impl Problem for Quadratic {
    type Trace = ();

    fn terms(&self, omega: &Params) -> Result<Terms, HypergradientError> {
        let each = (self.away(omega).square() * &self.curvatures).sum_dim_intlist(1, false, Kind::Double) * 0.5;
        let names = Term::FIFTEEN[..each.size()[0] as usize].to_vec();
        Ok(Terms::new(names, each * self.terms_by, None)?)
    }

    fn terms_traced(&self, omega: &Params) -> Result<(Terms, ()), HypergradientError> {
        Ok((self.terms(omega)?, ()))
    }

    fn terms_along(&self, (): (), omega: &Params, v: &[Tensor]) -> Result<Vec<f64>, HypergradientError> {
        let each = (self.away(omega) * &self.curvatures * &v[0]).sum_dim_intlist(1, false, Kind::Double);
        Ok(values(&(each * self.terms_by)))
    }

    fn validation_loss(&self, omega: &Params) -> Result<Tensor, HypergradientError> {
        Ok((&omega.trainable()[0] - &self.target).square().sum(Kind::Double) * (0.5 * self.task_by))
    }
}

/// The paper's terms of a small fusion network, in any order.
struct Network {
    graph: Graph,
    omega: Params,
    loss: FusionLoss,
    sources: Sources,
    val: [Tensor; 2],
    /// Place i holds the loss's term of this number.
    order: Vec<i64>,
}

fn waves(phase: f64) -> Tensor {
    let at = Tensor::arange(2 * 18 * 16, OPTIONS) * 0.41 + phase;
    (at.sin() * 0.3 + (at * 0.017).cos() * 0.2 + 0.5).reshape([2, 1, 18, 16])
}

impl Network {
    fn new(seed: u64) -> Self {
        let graph = graph(&CafConfig { width: 4, depth: 2, normalised: true }).unwrap();
        let omega = Params::init(&graph, seed, Device::Cpu, Kind::Double).unwrap();
        let loss = FusionLoss::new(&LossConfig::paper(), Device::Cpu, Kind::Double).unwrap();
        let phase = seed as f64;
        let saliency = Saliency::Complementary(waves(phase + 2.6));
        let sources = loss.sources(&waves(phase), &waves(phase + 1.3), &saliency).unwrap();
        let order = (0..loss.active().len() as i64).collect();
        Network { graph, omega, loss, sources, val: [waves(phase + 4.0), waves(phase + 5.5)], order }
    }

    fn batch(&self) -> FusionBatch<'_> {
        FusionBatch { graph: &self.graph, loss: &self.loss, sources: &self.sources, mode: Mode::BatchStatistics }
    }

    fn logits(&self) -> Tensor {
        (Tensor::arange(self.order.len() as i64, OPTIONS) * 2.1).sin()
    }

    fn ordered(&self, terms: &Terms) -> Result<Terms, HypergradientError> {
        let names = self.order.iter().map(|i| terms.names()[*i as usize]).collect();
        Ok(Terms::new(names, terms.values().index_select(0, &Tensor::from_slice(&self.order)), None)?)
    }
}

impl Problem for Network {
    type Trace = FusionTrace;

    fn terms(&self, omega: &Params) -> Result<Terms, HypergradientError> {
        self.ordered(&self.batch().terms(omega)?)
    }

    fn terms_traced(&self, omega: &Params) -> Result<(Terms, FusionTrace), HypergradientError> {
        let (terms, trace) = self.batch().terms_traced(omega)?;
        Ok((self.ordered(&terms)?, trace))
    }

    fn terms_along(&self, trace: FusionTrace, omega: &Params, v: &[Tensor]) -> Result<Vec<f64>, HypergradientError> {
        let rates = self.batch().terms_along(trace, omega, v)?;
        Ok(self.order.iter().map(|i| rates[*i as usize]).collect())
    }

    fn validation_loss(&self, omega: &Params) -> Result<Tensor, HypergradientError> {
        let image = forward(&self.graph, omega, &[&self.val[0], &self.val[1]], Mode::BatchStatistics)?.remove(0);
        let wanted = (Tensor::arange(image.numel() as i64, OPTIONS) * 0.9).cos().reshape(image.size());
        Ok((image.tanh() - wanted).square().mean(Kind::Double))
    }
}

fn settings(eta: f64, form: Form, weighting: Weighting) -> Settings {
    Settings { eta, radius: Radius::OverNorm(0.01), form, compare: false, weighting }
}

/// Softmax logits and direct weights of so many terms.
fn logits(seed: u64, terms: i64, weighting: Weighting) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xbe7a);
    let drawn: Vec<f64> = (0..terms).map(|_| rng.random_range(-2.0..2.0)).collect();
    match weighting {
        Weighting::Softmax => Tensor::from_slice(&drawn),
        Weighting::Direct => Tensor::from_slice(&drawn).exp(),
    }
}

fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m, v| m.max(v.abs()))
}

/// h = softmax(β) has the sum 1 wherever β goes: Σᵢ ∂hⱼ/∂βᵢ = 0 for every weight j, and so Σᵢ gᵢ = 0, in both forms and for
/// every problem. Direct weights are free: there the sum is −η Σ dℓᵢ/dt, which is not 0.
///
/// Each of n components is rounded at some 2⁻⁵³ of the largest change rate, which η/4 (the largest entry of J) multiplies.
#[test]
fn the_hypergradient_of_softmax_weights_sums_to_zero() {
    let check = |what: &str, step: &dyn Fn(Weighting) -> Hypergradient| {
        let softmax = step(Weighting::Softmax).gradient;
        let sum: f64 = softmax.iter().sum();
        let limit = 8.0 * f64::EPSILON * softmax.len() as f64 * largest(&step(Weighting::Direct).gradient).max(1e-12);
        assert!(largest(&softmax) > 1e3 * limit, "{what}: nothing to sum in {softmax:?}");
        assert!(sum.abs() <= limit, "{what}: the sum is {sum:e}, of {softmax:?}");
        let direct = step(Weighting::Direct).gradient;
        assert!(direct.iter().sum::<f64>().abs() > 1e3 * limit, "{what}: direct weights are free, {direct:?}");
    };
    for form in FORMS {
        for seed in 0..8 {
            for (terms, n) in [(2, 1), (3, 2), (5, 40), (15, 7)] {
                let problem = Quadratic::random(seed, terms, n);
                check(&format!("{form:?}, seed {seed}, {terms} terms of {n}"), &|weighting| {
                    let logits = logits(seed, terms, weighting);
                    hypergradient(&problem, &problem.omega, &logits, &settings(0.1, form, weighting), None).unwrap()
                });
            }
        }
        for seed in 0..3 {
            let problem = Network::new(seed);
            check(&format!("{form:?}, network {seed}"), &|weighting| {
                let logits = logits(seed, problem.order.len() as i64, weighting);
                hypergradient(&problem, &problem.omega, &logits, &settings(0.05, form, weighting), None).unwrap()
            });
        }
    }
}

/// Terms have no order: with terms and logits in another one, ω′ and v stay and g follows the terms, and so does β after Adam.
///
/// The sum h·ℓ is rounded in another order, which moves ω′ by units of the last place. The exact form carries that on at about its
/// size; the difference may see it multiplied by the terms' size over their change, which is within 10⁴ here.
#[test]
fn an_order_of_the_terms_is_an_order_of_the_hypergradient() {
    for (form, tolerance) in [(Form::Exact, 1e-11), (Form::FiniteDifference, 1e-8)] {
        for weighting in WEIGHTINGS {
            for seed in 0..3u64 {
                let mut problem = Network::new(seed);
                let step = |problem: &Network, logits: &Tensor| {
                    let settings = settings(0.05, form, weighting);
                    let found = hypergradient(problem, &problem.omega, logits, &settings, None).unwrap();
                    let mut moved = logits.copy();
                    let mut adam = Adam::new(AdamConfig::default(), std::slice::from_ref(&moved)).unwrap();
                    // Larger than Adam's ε, so that it divides by a gradient and not by that.
                    let gradient = Tensor::from_slice(&found.gradient) * 1e6;
                    adam.step(std::slice::from_ref(&moved), &[gradient], 0.01).unwrap();
                    weighting.project(&mut moved).unwrap();
                    (found, values(&moved))
                };
                let given = logits(seed, problem.order.len() as i64, weighting);
                let (plain, beta) = step(&problem, &given);
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                for i in (1..problem.order.len()).rev() {
                    problem.order.swap(i, rng.random_range(0..=i));
                }
                let order = problem.order.clone();
                assert_ne!(order, (0..order.len() as i64).collect::<Vec<_>>());
                let (other, other_beta) = step(&problem, &given.index_select(0, &Tensor::from_slice(&order)));
                let close = |what: &str, found: f64, expected: f64, scale: f64| {
                    let off = (found - expected).abs() / scale;
                    assert!(off < tolerance, "{form:?} {weighting:?} seed {seed}: {what} is off by {off:e}");
                };
                close("‖v‖", other.v_norm, plain.v_norm, plain.v_norm);
                let scale = largest(&plain.gradient);
                assert!(scale > 1e-9, "nothing to compare: {scale:e}");
                for (place, term) in order.iter().enumerate() {
                    let term = *term as usize;
                    close("g", other.gradient[place], plain.gradient[term], scale);
                    close("ℓ", other.terms[place], plain.terms[term], plain.terms[term].abs());
                    close("β", other_beta[place], beta[term], 1.0);
                }
            }
        }
    }
}

/// A loss has no unit. With all terms multiplied by c:
///
/// - and η divided by c, the step η ∇(h·ℓ) is the same, so ω′ and v are, and g = −η Jᵀ dℓ/dt is as it was;
/// - and direct weights divided by c, h·ℓ is the same, so ω′ and v are, and g is c times as large: it is a derivative by h.
///
/// With the task's loss multiplied by c nothing moves before v, which becomes c v; R = r/‖v‖ becomes R/c, so the difference is taken
/// at the same two places, and g is c times as large in both forms.
///
/// A power of two changes exponents alone: all this holds bit by bit.
#[test]
fn a_unit_of_the_losses_scales_the_hypergradient_and_nothing_else() {
    let by = |factor: f64, x: &[f64]| x.iter().map(|v| v * factor).collect::<Vec<f64>>();
    for form in FORMS {
        for weighting in WEIGHTINGS {
            for (seed, c) in [(1, 4.0), (2, 0.125), (3, 1024.0)] {
                let what = format!("{form:?} {weighting:?}, {c}");
                let mut problem = Quadratic::random(seed, 6, 5);
                let logits = logits(seed, 6, weighting);
                let step = |problem: &Quadratic, logits: &Tensor, eta: f64| {
                    hypergradient(problem, &problem.omega, logits, &settings(eta, form, weighting), None).unwrap()
                };
                let plain = step(&problem, &logits, 0.125);
                assert!(largest(&plain.gradient) > 1e-4, "{what}: {:?}", plain.gradient);
                problem.task_by = c;
                let found = step(&problem, &logits, 0.125);
                assert_eq!((found.gradient, found.v_norm), (by(c, &plain.gradient), c * plain.v_norm), "{what}: task");
                problem.task_by = 1.0;
                problem.terms_by = c;
                let found = step(&problem, &logits, 0.125 / c);
                assert_eq!((found.gradient, found.v_norm), (plain.gradient.clone(), plain.v_norm), "{what}: terms");
                assert_eq!(found.terms, by(c, &plain.terms), "{what}");
                if weighting == Weighting::Direct {
                    let found = step(&problem, &(&logits / c), 0.125);
                    assert_eq!((found.gradient, found.v_norm), (by(c, &plain.gradient), plain.v_norm), "{what}: h");
                }
            }
        }
        // The loss's own divisors do the same: the network's terms divided by 8, with a step 8 times as long.
        let mut problem = Network::new(1);
        let step = |problem: &Network, eta: f64| {
            let settings = settings(eta, form, Weighting::Softmax);
            hypergradient(problem, &problem.omega, &problem.logits(), &settings, None).unwrap().gradient
        };
        let plain = step(&problem, 0.0625);
        problem.loss.set_scales(vec![8.0; problem.order.len()]).unwrap();
        assert_eq!(step(&problem, 0.5), plain, "{form:?}");
        assert_ne!(step(&problem, 0.0625), plain, "{form:?}");
    }
}

/// Two parameters, two terms ℓᵢ = ½ ‖ω − cᵢ‖² and the task's loss ½ ‖ω − t‖².
///
/// Inner: Σ hᵢ = 1, so h·ℓ is least at ω*(h) = h₁ c₁ + h₂ c₂, a point of the segment from c₁ to c₂. Outer: the point of it nearest
/// to t is its foot t∥ = c₁ + s (c₂ − c₁), s = (t − c₁)·(c₂ − c₁) / ‖c₂ − c₁‖². So h* = (1 − s, s) and ω* = t∥, though the task's
/// loss there is not 0. Since g₁ = −g₂ and Adam treats both alike, β₁ + β₂ stays 2b, its value at the start: with h = softmax(β),
/// β* = b ∓ ½ ln(s / (1 − s)). Direct weights find h* up to their sum, on which ω* does not depend.
///
/// At (ω*, β*) the steps rest: ∇(h·ℓ) = 0, so ω′ = ω* and v = t∥ − t, across the segment; dℓᵢ/dt = (t∥ − cᵢ)·v = 0. The terms are
/// quadratic, so that the difference is the derivative at any radius. A plain loop of the same formulae in 64 bits ends within 1e-15
/// after a thousand iterations.
#[test]
fn a_search_ends_at_the_optimum_known_in_closed_form() {
    for (form, weighting) in FORMS.iter().flat_map(|form| WEIGHTINGS.map(|weighting| (*form, weighting))) {
        for (s, across) in [(0.7_f64, 0.3), (0.25, 0.0), (0.4, -1.0)] {
            let (c1, c2) = ([0.5, -0.25], [1.5, 1.75]);
            let between = [c2[0] - c1[0], c2[1] - c1[1]];
            let foot = [c1[0] + s * between[0], c1[1] + s * between[1]];
            let target = Tensor::from_slice(&[foot[0] - across * between[1], foot[1] + across * between[0]]);
            let centres = Tensor::from_slice(&[c1, c2].concat()).reshape([2, 2]);
            let mut problem = Quadratic::new(&[-0.9, 0.4], Tensor::ones([2, 2], OPTIONS), centres, target);
            let settings = settings(0.5, form, weighting);
            let mut logits = weighting.start(2, Device::Cpu, Kind::Double).unwrap();
            let start = values(&logits)[0];
            let mut adam = Adam::new(AdamConfig::default(), std::slice::from_ref(&logits)).unwrap();
            // The paper's rate and its decay: with a rate that stays, Adam grows restless once its squares have decayed.
            for iteration in 0..1000 {
                // The order of an iteration: ω moves by the loss of the weights as they are, then β by its effect on the next step.
                let (recording, leaves) = problem.omega.recording().unwrap();
                let terms = problem.terms(&recording).unwrap();
                let loss = weighting.total(&terms, &logits).unwrap();
                let at = Evaluation::<()>::of(&terms, &loss, &leaves, None).unwrap();
                let moved = no_grad(|| leaves[0].detach() - &at.gradient[0] * settings.eta);
                problem.omega = problem.omega.with_trainable(&[moved]).unwrap();
                let found = hypergradient(&problem, &problem.omega, &logits, &settings, None).unwrap();
                let gradient = Tensor::from_slice(&found.gradient);
                let rate = 0.05 * 0.998_f64.powi(iteration);
                adam.step(std::slice::from_ref(&logits), &[gradient], rate).unwrap();
                weighting.project(&mut logits).unwrap();
            }
            let h = values(&weighting.weights(&logits).unwrap());
            let h: Vec<f64> = h.iter().map(|weight| weight / h.iter().sum::<f64>()).collect();
            let half = 0.5 * (s / (1.0 - s)).ln();
            let mut compared = vec![("h", h, [1.0 - s, s]), ("ω", values(&problem.omega.trainable()[0]), foot)];
            if weighting == Weighting::Softmax {
                compared.push(("β", values(&logits), [start - half, start + half]));
            }
            for (what, found, expected) in compared {
                for (found, expected) in found.iter().zip(expected) {
                    let off = (found - expected).abs();
                    let which = format!("{form:?} {weighting:?}, s = {s}");
                    assert!(off < 1e-9, "{which}: {what} is {found}, not {expected}, off by {off:e}");
                }
            }
        }
    }
}
