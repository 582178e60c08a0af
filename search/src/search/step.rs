//! One iteration: ω_t, ω_f, β, in this order.

use super::config::{Method, TaskStatistics, UnrolledGradient};
use super::session::Session;
use crate::descent::descend;
use crate::error::SearchError;
use crate::hypergradient::{
    Evaluation, Form, FusionBatch, FusionTrace, Hypergradient, HypergradientError, Problem, Radius, Settings,
    hypergradient,
};
use crate::loader::PairBatch;
use caf_fusion_loss::{LossError, Saliency, Sources, Terms};
use caf_torch::{Mode, Params, Trace, Work, counted, forward, only};
use std::time::{Duration, Instant};
use tch::Tensor;

/// What an iteration measured.
#[derive(Debug)]
pub(super) struct Measured {
    /// Parts of the task's loss, the total first; none where the task network is not trained along.
    pub task: Option<Vec<f64>>,
    pub fusion: FusionMeasured,
    pub beta: Option<BetaMeasured>,
    /// The task's, the fusion and the β step.
    pub phases: [Phase; 3],
}

/// Time and work of a part of an iteration.
#[derive(Clone, Debug, Default)]
pub(super) struct Phase {
    pub time: Duration,
    pub work: Work,
}

impl Phase {
    /// Does a part and measures it. What it left for a GPU to do counts as done when the part reads a result back, which all do.
    fn of<T>(part: impl FnOnce() -> T) -> (T, Phase) {
        let begin = Instant::now();
        let (done, work) = counted(part);
        (done, Phase { time: begin.elapsed(), work })
    }
}

/// What the fusion step measured.
#[derive(Debug)]
pub(super) struct FusionMeasured {
    pub total: f64,
    /// ‖∇ω L_f‖: how far the fusion network is from settling.
    pub gradient: f64,
    /// In the order of the active terms, undivided.
    pub terms: Vec<f64>,
}

/// What the β step measured.
#[derive(Debug)]
pub(super) struct BetaMeasured {
    pub result: Hypergradient,
    /// With the derivative after the fusion step, where β takes that before it and both were computed.
    pub own: Option<Agreement>,
}

/// How far two gradients agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Agreement {
    /// Cosine of the angle between them; 1 when one vanishes.
    pub cosine: f64,
    /// Share of components with equal sign.
    pub signs: f64,
}

impl Agreement {
    fn of(a: &[f64], b: &[f64]) -> Self {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let length = (dot(a, a) * dot(b, b)).sqrt();
        let alike = a.iter().zip(b).filter(|(a, b)| a.signum() == b.signum()).count();
        let cosine = if length > 0.0 { dot(a, b) / length } else { 1.0 };
        Agreement { cosine, signs: alike as f64 / a.len().max(1) as f64 }
    }
}

impl Session {
    /// Runs one iteration; β moves where there is a validation batch. An error leaves the saved state valid, not this one.
    pub fn step(&mut self, train: &PairBatch, val: Option<&PairBatch>) -> Result<Measured, SearchError> {
        // β's derivative may be taken where the fusion network stands before its step, and shares the evaluation of the loss then.
        let shared = val.filter(|_| self.config.unrolled.gradient == UnrolledGradient::FusionStep);
        let (found, task_phase) = Phase::of(|| self.task_step(train, shared.is_some()));
        let (task, fused) = found?;
        let (found, mut fusion_phase) = Phase::of(|| self.evaluate(train, fused));
        let (mut sources, evaluation) = found?;
        let (total, terms) = (evaluation.fusion_loss, evaluation.terms.clone());
        let gradient = evaluation.gradient.iter().map(Tensor::shallow_clone).collect::<Vec<_>>();
        let (beta, gradient, beta_phase) = if let Some(val) = shared {
            let (found, mut beta_phase) = Phase::of(|| self.beta_gradient(&mut sources, val, Some(evaluation)));
            let mut beta = found?;
            let norm = self.fusion_step(&gradient)?;
            if self.compares() {
                let own = self.beta_gradient(&mut sources, val, None)?;
                beta.own = Some(Agreement::of(&beta.result.gradient, &own.result.gradient));
            }
            let (moved, rest) = Phase::of(|| self.beta_step(&beta.result));
            moved?;
            beta_phase.time += rest.time;
            (Some(beta), norm, beta_phase)
        } else {
            drop(evaluation);
            let (found, rest) = Phase::of(|| self.fusion_step(&gradient));
            let norm = found?;
            fusion_phase.time += rest.time;
            drop(gradient);
            let (found, beta_phase) = Phase::of(|| {
                let beta = val.map(|val| self.beta_gradient(&mut sources, val, None)).transpose()?;
                beta.as_ref().map_or(Ok(()), |beta| self.beta_step(&beta.result))?;
                Ok::<_, SearchError>(beta)
            });
            (found?, norm, beta_phase)
        };
        self.iteration += 1;
        let terms = terms.into_iter().zip(self.loss.scales()).map(|(value, scale)| value * scale).collect();
        let fusion = FusionMeasured { total, gradient, terms };
        Ok(Measured { task, fusion, beta, phases: [task_phase, fusion_phase, beta_phase] })
    }

    /// ω_t ← ω_t − ∇L_t on the fused batch, where the task network is trained along. Returns the parts of its loss and the fused
    /// images.
    fn task_step(&mut self, train: &PairBatch, traced: bool) -> Result<(Option<Vec<f64>>, Fused), SearchError> {
        let (recording, leaves) = self.fusion.params.recording()?;
        let mode = Mode::train(self.config.run.seed, self.iteration as u64);
        let (image, trace) = if traced {
            let (image, trace) = self.fusion.fuse_traced(&recording, &train.ir, &train.vi, mode)?;
            (image, Some(trace))
        } else {
            (self.fusion.fuse(&recording, &train.ir, &train.vi, mode)?, None)
        };
        let parts = if self.config.steps.task {
            let seen = task_input(&image.f_detach()?, train, self.config.data.colour)?;
            Some(self.task.train_step(&seen, &train.annotations, self.iteration)?)
        } else {
            None
        };
        Ok((parts, Fused { image, leaves, trace }))
    }

    /// The fusion loss of the fused images and its gradient.
    fn evaluate(&mut self, train: &PairBatch, fused: Fused) -> Result<(Sources, Evaluation<FusionTrace>), SearchError> {
        let Fused { image, leaves, trace } = fused;
        let sources =
            self.loss.sources(&train.ir, &train.vi, &Saliency::Complementary(train.saliency.shallow_clone()))?;
        if self.iteration == 0
            && let Some(scales) = self.loss.measure_scales(&image, &sources)?
        {
            self.loss.set_scales(scales)?;
        }
        let (terms, total, trace) = match trace {
            Some(network) => {
                let (terms, trace) = self.loss.terms_traced(&image, &sources)?;
                let total = self.loss.total(&terms, &self.logits)?;
                (terms, total, Some(FusionTrace { network, terms: trace }))
            }
            None => {
                let (terms, total) = self.loss.terms_and_total(&image, &sources, &self.logits)?;
                (terms, total, None)
            }
        };
        let evaluation = Evaluation::of(&terms, &total, &leaves, trace);
        Ok((sources, evaluation.map_err(|error| self.named(error, ""))?))
    }

    /// ω_f ← ω_f − ∇L_f(β). The norm of the gradient.
    fn fusion_step(&mut self, gradient: &[Tensor]) -> Result<f64, SearchError> {
        let beta = self.config.beta;
        let settling = beta.freeze_fusion_rate.filter(|_| self.iteration < beta.freeze_iterations);
        let rate = settling.unwrap_or(self.fusion_rate());
        let (trainable, adam, rate) = (self.fusion.params.trainable(), &mut self.fusion_adam, rate);
        descend("the fusion network", self.iteration, gradient, None, |g| adam.step(&trainable, g, rate))
    }

    /// Whether both forms are compared in this iteration.
    fn compares(&self) -> bool {
        let every = self.config.unrolled.check_every;
        every > 0 && self.iteration.is_multiple_of(every)
    }

    /// ∇β L_val(ω′). The fusion loss is evaluated at ω_f as it stands, unless it has been.
    fn beta_gradient(
        &self,
        sources: &mut Sources,
        val: &PairBatch,
        evaluation: Option<Evaluation<FusionTrace>>,
    ) -> Result<BetaMeasured, SearchError> {
        let unrolled = self.config.unrolled;
        let settings = Settings {
            eta: unrolled.eta.unwrap_or(self.fusion_rate()),
            radius: Radius::OverNorm(unrolled.radius),
            form: match unrolled.method {
                Method::Fd => Form::FiniteDifference,
                Method::Exact => Form::Exact,
            },
            compare: self.compares(),
            weighting: self.config.loss.weighting,
        };
        let omega = self.fusion.params.shallow_clone();
        let evaluation = match evaluation {
            Some(evaluation) => Ok(evaluation),
            None => Evaluation::at(&self.unrolled(sources, val), &omega, &self.logits, &settings),
        };
        if settings.form == Form::Exact && !settings.compare {
            // The derivatives of the terms are there: the features behind them need not wait in memory.
            sources.forget_features();
        }
        let problem = self.unrolled(sources, val);
        let found =
            evaluation.and_then(|at_omega| hypergradient(&problem, &omega, &self.logits, &settings, Some(at_omega)));
        let result = found.map_err(|error| self.named(error, " of the β step"))?;
        if let Some(i) = result.gradient.iter().position(|g| !g.is_finite()) {
            let term = self.loss.active().get(i).map_or("?", |t| t.name());
            return Err(self.non_finite(&format!("hypergradient of term `{term}`")));
        }
        Ok(BetaMeasured { result, own: None })
    }

    fn unrolled<'a>(&'a self, sources: &'a Sources, val: &'a PairBatch) -> Unrolled<'a> {
        let batch = FusionBatch { graph: self.fusion.graph(), loss: &self.loss, sources, mode: Mode::BatchStatistics };
        Unrolled { session: self, batch, val }
    }

    /// β ← β − ∇β L_val(ω′).
    fn beta_step(&mut self, result: &Hypergradient) -> Result<(), SearchError> {
        let gradient =
            Tensor::f_from_slice(&result.gradient)?.f_to_kind(self.logits.kind())?.f_to_device(self.device)?;
        let rate = self.beta_rate();
        let (logits, adam) = (std::slice::from_ref(&self.logits), &mut self.beta_adam);
        descend("beta", self.iteration, &[gradient], None, |gradient| adam.step(logits, gradient, rate))?;
        self.config.loss.weighting.project(&mut self.logits)?;
        self.signal.push(result.gradient.clone());
        Ok(())
    }

    fn non_finite(&self, what: &str) -> SearchError {
        SearchError::NonFinite { what: what.to_owned(), iteration: self.iteration }
    }

    /// The error with the iteration, where a value is no number.
    fn named(&self, error: HypergradientError, place: &str) -> SearchError {
        match error {
            HypergradientError::NonFinite { what, .. } => self.non_finite(&format!("{what}{place}")),
            HypergradientError::Loss(LossError::NonFiniteTerm { term, .. }) => {
                let place = if place.is_empty() { "" } else { " in the β step" };
                self.non_finite(&format!("fusion-loss term `{term}`{place}"))
            }
            other => SearchError::Hypergradient(Box::new(other)),
        }
    }
}

/// Fused images with what they are differentiable by.
struct Fused {
    image: Tensor,
    /// The trainable tensors of ω_f.
    leaves: Vec<Tensor>,
    trace: Option<Trace>,
}

/// The β step's two networks and batches as functions of ω_f. The task network stays as it is.
struct Unrolled<'a> {
    session: &'a Session,
    batch: FusionBatch<'a>,
    val: &'a PairBatch,
}

impl Problem for Unrolled<'_> {
    type Trace = FusionTrace;

    fn terms(&self, omega: &Params) -> Result<Terms, HypergradientError> {
        self.batch.terms(omega)
    }

    fn terms_traced(&self, omega: &Params) -> Result<(Terms, FusionTrace), HypergradientError> {
        self.batch.terms_traced(omega)
    }

    fn terms_along(
        &self,
        trace: FusionTrace,
        omega: &Params,
        direction: &[Tensor],
    ) -> Result<Vec<f64>, HypergradientError> {
        self.batch.terms_along(trace, omega, direction)
    }

    fn validation_loss(&self, omega: &Params) -> Result<Tensor, HypergradientError> {
        let Session { fusion, task, config, .. } = self.session;
        let fused = only(forward(fusion.graph(), omega, &[&self.val.ir, &self.val.vi], Mode::BatchStatistics)?)?;
        let image = task_input(&fused, self.val, config.data.colour)?;
        let mode = match config.unrolled.task_statistics {
            TaskStatistics::Batch => Mode::BatchStatistics,
            TaskStatistics::Running => Mode::Eval,
        };
        let loss = task.loss(task.params(), &image, &self.val.annotations, mode);
        loss.map_err(|e| HypergradientError::Validation(Box::new(e)))
    }
}

/// What the task sees: fused luma with the visible image's colours, or gray. Not clamped, so that derivatives pass.
fn task_input(fused: &Tensor, batch: &PairBatch, colour: bool) -> Result<Tensor, tch::TchError> {
    if colour { fused.f_add(&batch.colour) } else { fused.f_expand([-1, 3, -1, -1], false) }
}
