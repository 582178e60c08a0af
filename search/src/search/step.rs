//! One iteration: ω_t, ω_f, β, in this order.

use super::config::Method;
use super::phase::Phase;
use super::session::Session;
use crate::descent::descend;
use crate::error::SearchError;
use crate::hypergradient::{
    Distance, Form, Hypergradient, HypergradientError, Problem, Radius, Settings, compared, hypergradient,
};
use crate::loader::PairBatch;
use caf_fusion_loss::{FusionLoss, LossError, Saliency, Sources, Terms};
use caf_torch::{GradOptions, Mode, Params, TorchError, forward, gradients};
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
    pub distance: Option<Distance>,
}

impl Session {
    /// Runs one iteration; β moves where there is a validation batch. An error leaves the saved state valid, not this one.
    pub fn step(&mut self, train: &PairBatch, val: Option<&PairBatch>) -> Result<Measured, SearchError> {
        let (found, task_phase) = Phase::of(|| self.task_step(train));
        let (task, fused, leaves) = found?;
        let (found, fusion_phase) = Phase::of(|| self.fusion_step(train, &fused, &leaves));
        let (sources, fusion) = found?;
        drop((fused, leaves));
        let (found, beta_phase) = Phase::of(|| val.map(|val| self.beta_step(&sources, train, val)).transpose());
        let beta = found?;
        self.iteration += 1;
        Ok(Measured { task, fusion, beta, phases: [task_phase, fusion_phase, beta_phase] })
    }

    /// ω_t ← ω_t − ∇L_t on the fused batch, where the task network is trained along. Returns the parts of its loss, the fused
    /// images, and the tensors of ω_f that these are differentiable by.
    fn task_step(&mut self, train: &PairBatch) -> Result<(Option<Vec<f64>>, Tensor, Vec<Tensor>), SearchError> {
        let (recording, leaves) = self.fusion.params.recording()?;
        let mode = Mode::train(self.config.run.seed, self.iteration as u64);
        let fused = self.fusion.fuse(&recording, &train.ir, &train.vi, mode)?;
        let parts = if self.config.steps.task {
            let image = task_input(&fused.f_detach()?, train, self.config.data.colour)?;
            Some(self.task.train_step(&image, &train.annotations, self.iteration)?)
        } else {
            None
        };
        Ok((parts, fused, leaves))
    }

    /// ω_f ← ω_f − ∇L_f(β).
    fn fusion_step(
        &mut self,
        train: &PairBatch,
        fused: &Tensor,
        leaves: &[Tensor],
    ) -> Result<(Sources, FusionMeasured), SearchError> {
        let sources =
            self.loss.sources(&train.ir, &train.vi, &Saliency::Complementary(train.saliency.shallow_clone()))?;
        if self.iteration == 0
            && let Some(scales) = self.loss.measure_scales(fused, &sources)?
        {
            self.loss.set_scales(scales)?;
        }
        let terms = self.loss.terms(fused, &sources)?;
        if let Some(term) = terms.first_non_finite()? {
            return Err(self.non_finite(&format!("fusion-loss term `{term}`")));
        }
        let total = self.loss.total(&terms, &self.logits)?;
        let grads = gradients(&total, leaves, GradOptions::default())?;
        let (trainable, adam, rate) = (self.fusion.params.trainable(), &mut self.fusion_adam, self.config.fusion.rate);
        let gradient = descend("the fusion network", self.iteration, &grads, None, |g| adam.step(&trainable, g, rate))?;
        let values = terms.to_vec()?.into_iter().zip(self.loss.scales()).map(|((_, v), scale)| v * scale).collect();
        Ok((sources, FusionMeasured { total: f64::try_from(&total)?, gradient, terms: values }))
    }

    /// β ← β − ∇β L_val(ω′).
    fn beta_step(
        &mut self,
        sources: &Sources,
        train: &PairBatch,
        val: &PairBatch,
    ) -> Result<BetaMeasured, SearchError> {
        let unrolled = self.config.unrolled;
        let settings = Settings {
            eta: unrolled.eta.unwrap_or(self.config.fusion.rate),
            radius: Radius::OverNorm(unrolled.radius),
            form: match unrolled.method {
                Method::Fd => Form::FiniteDifference,
                Method::Exact => Form::Exact,
            },
            weighting: self.config.loss.weighting,
        };
        let problem = Unrolled { session: self, loss: &self.loss, sources, train, val };
        let omega = self.fusion.params.shallow_clone();
        let due = unrolled.check_every > 0 && self.iteration.is_multiple_of(unrolled.check_every);
        let found = if due {
            compared(&problem, &omega, &self.logits, &settings).map(|(result, distance)| (result, Some(distance)))
        } else {
            hypergradient(&problem, &omega, &self.logits, &settings).map(|result| (result, None))
        };
        let (result, distance) = found.map_err(|error| match error {
            HypergradientError::NonFinite { what, .. } => self.non_finite(&format!("{what} of the β step")),
            HypergradientError::Loss(LossError::NonFiniteTerm { term, .. }) => {
                self.non_finite(&format!("fusion-loss term `{term}` in the β step"))
            }
            other => SearchError::Hypergradient(Box::new(other)),
        })?;
        if let Some(i) = result.gradient.iter().position(|g| !g.is_finite()) {
            let term = self.loss.active().get(i).map_or("?", |t| t.name());
            return Err(self.non_finite(&format!("hypergradient of term `{term}`")));
        }
        let gradient =
            Tensor::f_from_slice(&result.gradient)?.f_to_kind(self.logits.kind())?.f_to_device(self.device)?;
        let rate = self.beta_rate();
        let (logits, adam) = (std::slice::from_ref(&self.logits), &mut self.beta_adam);
        descend("beta", self.iteration, &[gradient], None, |gradient| adam.step(logits, gradient, rate))?;
        self.config.loss.weighting.project(&mut self.logits)?;
        self.signal.push(result.gradient.clone());
        Ok(BetaMeasured { result, distance })
    }

    fn non_finite(&self, what: &str) -> SearchError {
        SearchError::NonFinite { what: what.to_owned(), iteration: self.iteration }
    }
}

/// The β step's two networks and batches as functions of ω_f. The task network stays as it is.
struct Unrolled<'a> {
    session: &'a Session,
    loss: &'a FusionLoss,
    sources: &'a Sources,
    train: &'a PairBatch,
    val: &'a PairBatch,
}

impl Problem for Unrolled<'_> {
    fn fuse(&self, omega: &Params) -> Result<Tensor, HypergradientError> {
        one(forward(self.session.fusion.graph(), omega, &[&self.train.ir, &self.train.vi], Mode::BatchStatistics)?)
    }

    fn terms(&self, fused: &Tensor) -> Result<Terms, HypergradientError> {
        Ok(self.loss.terms(fused, self.sources)?)
    }

    fn validation_loss(&self, omega: &Params) -> Result<Tensor, HypergradientError> {
        let Session { fusion, task, config, .. } = self.session;
        let fused = one(forward(fusion.graph(), omega, &[&self.val.ir, &self.val.vi], Mode::BatchStatistics)?)?;
        let image = task_input(&fused, self.val, config.data.colour)?;
        let loss = task.loss(task.params(), &image, &self.val.annotations, Mode::BatchStatistics);
        loss.map_err(|e| HypergradientError::Validation(Box::new(e)))
    }
}

/// What the task sees: fused luma with the visible image's colours, or gray. Not clamped, so that derivatives pass.
fn task_input(fused: &Tensor, batch: &PairBatch, colour: bool) -> Result<Tensor, tch::TchError> {
    if colour { fused.f_add(&batch.colour) } else { fused.f_expand([-1, 3, -1, -1], false) }
}

fn one(mut outputs: Vec<Tensor>) -> Result<Tensor, HypergradientError> {
    let none = || TorchError::Torch(tch::TchError::Shape("the network has no output".to_owned()));
    outputs.pop().ok_or_else(|| none().into())
}
