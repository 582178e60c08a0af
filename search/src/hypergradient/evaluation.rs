//! The fusion loss at ω: value, gradient, and what its derivative along a direction needs.

use super::{HypergradientError, Problem, Settings, finite};
use caf_fusion_loss::{FusionLoss, Sources, Terms, TermsTrace};
use caf_net::Graph;
use caf_torch::{Mode, Params, Trace, forward, forward_traced, gradients_of_all, only};
use tch::Tensor;

/// The fusion loss h·ℓ at ω, of the batch of all ranks.
#[derive(Debug)]
pub struct Evaluation<T> {
    /// ℓ(ω).
    pub terms: Vec<f64>,
    /// h·ℓ(ω) and the fixed part of the loss.
    pub fusion_loss: f64,
    /// ∇ω of that, in the order of [`Params::trainable`].
    pub gradient: Vec<Tensor>,
    /// What the exact form needs; it is computed anew where it is missing.
    pub trace: Option<T>,
}

impl<T> Evaluation<T> {
    /// Evaluates a problem at `omega` with the weights of `logits`; with its trace where it is needed.
    pub(crate) fn at(
        problem: &impl Problem<Trace = T>,
        omega: &Params,
        logits: &Tensor,
        settings: &Settings,
    ) -> Result<Self, HypergradientError> {
        let (at_omega, leaves) = omega.recording()?;
        // In the same way whether the trace is needed or not: comparing both forms now and then changes no bit.
        let (terms, trace) = problem.terms_traced(&at_omega)?;
        let trace = settings.needs_trace().then_some(trace);
        let loss = settings.weighting.total(&terms, &logits.f_detach()?)?;
        Self::of(&terms, &loss, &leaves, trace)
    }

    /// What was computed of a loss that records derivatives by `leaves`.
    ///
    /// # Errors
    /// When a term or the loss is not finite.
    pub fn of(terms: &Terms, loss: &Tensor, leaves: &[Tensor], trace: Option<T>) -> Result<Self, HypergradientError> {
        terms.require_finite()?;
        let fusion_loss = finite("fusion loss", f64::try_from(loss)?)?;
        let gradient = gradients_of_all(loss, leaves)?;
        let terms = terms.to_vec()?.into_iter().map(|(_, value)| value);
        let mut terms = caf_ranks::mean_numbers(std::iter::once(fusion_loss).chain(terms).collect())?;
        let fusion_loss = terms.remove(0);
        Ok(Evaluation { terms, fusion_loss, gradient, trace })
    }
}

/// A fusion network and its loss on one batch, as [`Problem`]s have them.
#[derive(Clone, Copy, Debug)]
pub struct FusionBatch<'a> {
    /// The network.
    pub graph: &'a Graph,
    /// The loss.
    pub loss: &'a FusionLoss,
    /// The batch.
    pub sources: &'a Sources,
    /// How the network is evaluated; it must leave no trace in the parameters.
    pub mode: Mode,
}

/// What an evaluation of a [`FusionBatch`] left.
#[derive(Debug)]
pub struct FusionTrace {
    /// Of the network.
    pub network: Trace,
    /// Of the loss.
    pub terms: TermsTrace,
}

impl FusionBatch<'_> {
    /// The fusion-loss terms at `omega`.
    ///
    /// # Errors
    /// When network or terms cannot be evaluated.
    pub fn terms(&self, omega: &Params) -> Result<Terms, HypergradientError> {
        let fused = only(forward(self.graph, omega, &[self.sources.ir(), self.sources.vi()], self.mode)?)?;
        Ok(self.loss.terms(&fused, self.sources)?)
    }

    /// The same, and what [`FusionBatch::terms_along`] needs.
    ///
    /// # Errors
    /// As [`FusionBatch::terms`].
    pub fn terms_traced(&self, omega: &Params) -> Result<(Terms, FusionTrace), HypergradientError> {
        let (fused, network) = forward_traced(self.graph, omega, &[self.sources.ir(), self.sources.vi()], self.mode)?;
        let (terms, trace) = self.loss.terms_traced(&only(fused)?, self.sources)?;
        Ok((terms, FusionTrace { network, terms: trace }))
    }

    /// dℓ(ω + t `direction`)/dt at t = 0: the network gives the change of the image, and the loss that of its terms.
    ///
    /// # Errors
    /// When an op of the network has no derivative along a direction, or libtorch refuses.
    pub fn terms_along(
        &self,
        trace: FusionTrace,
        omega: &Params,
        direction: &[Tensor],
    ) -> Result<Vec<f64>, HypergradientError> {
        let image = only(trace.network.along(self.graph, omega, direction)?)?;
        Ok(trace.terms.along(&image)?)
    }
}
