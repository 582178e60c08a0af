//! The β step: how the loss weights move the task's loss through one step of the fusion network.
//!
//! With h the weights made of the logits β, J = ∂h/∂β, ℓ(ω) the vector of fusion-loss terms on the training batch and L_val the
//! task's loss on the validation batch (paper, Section 3.2; its Eq. 3 lacks the factor −η):
//!
//! ```text
//! ω′ = ω − η ∇ω (h·ℓ(ω))          one step of the fusion network
//! v  = ∇ω L_val(ω′)
//! g  = −η Jᵀ dℓ(ω + t v)/dt       d L_val(ω′) / dβ, exactly
//!    ≈ −η Jᵀ (ℓ(ω + R v) − ℓ(ω − R v)) / 2R        R = 0.01 / ‖v‖
//! ```
//!
//! The loss is linear in h, so the difference needs two forward passes without derivatives. Its error comes from kinks (ReLU,
//! absolute values, maxima) crossed on the way, not from curvature: 0.2–2 % is common, more happens. The exact form carries v
//! forwards through the network, u = J_F v, with the values that the evaluation at ω has left, and multiplies u with the derivatives of
//! the terms by the image, which the gradient at ω needs too: about as much work as the difference.
//!
//! Nothing is left behind: parameters, running statistics, accumulated gradients and whatever the problem holds are the same
//! bits afterwards, as long as the problem evaluates its networks with [`caf_torch::Mode::BatchStatistics`] (or `Eval`).

mod direction;
mod evaluation;

pub use evaluation::{Evaluation, FusionBatch, FusionTrace};

use caf_fusion_loss::{LossError, Terms, Weighting};
use caf_torch::{Params, TorchError};
use direction::Direction;
use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

/// Two networks and two batches, seen as functions of the fusion network's parameters.
///
/// The same parameters must give the same values every time, and no evaluation may change anything. [`FusionBatch`] does what is
/// asked of the fusion network and its loss.
pub trait Problem {
    /// What an evaluation of the terms leaves for their derivative along a direction.
    type Trace;

    /// The fusion-loss terms ℓ(ω) of the training batch; sources do not depend on ω and are computed once.
    ///
    /// # Errors
    /// When network or terms cannot be evaluated.
    fn terms(&self, omega: &Params) -> Result<Terms, HypergradientError>;

    /// The same, with what [`Problem::terms_along`] needs.
    ///
    /// # Errors
    /// As [`Problem::terms`].
    fn terms_traced(&self, omega: &Params) -> Result<(Terms, Self::Trace), HypergradientError>;

    /// dℓ(ω + t `direction`)/dt at t = 0, one value for each term, at the `omega` of the trace; `direction` is in the order of
    /// [`Params::trainable`].
    ///
    /// # Errors
    /// When it cannot be computed.
    fn terms_along(
        &self,
        trace: Self::Trace,
        omega: &Params,
        direction: &[Tensor],
    ) -> Result<Vec<f64>, HypergradientError>;

    /// L_val(ω), a scalar: the task's loss on the fused validation batch.
    ///
    /// # Errors
    /// When it cannot be computed.
    fn validation_loss(&self, omega: &Params) -> Result<Tensor, HypergradientError>;
}

/// The distance R from ω at which the terms are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Radius {
    /// R = r / ‖v‖: the published code, with r = 0.01.
    OverNorm(f64),
    /// R itself: the paper's "constant".
    Constant(f64),
}

/// Which form of the derivative is returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Central difference, forward passes only.
    #[default]
    FiniteDifference,
    /// The derivative along v, carried forwards.
    Exact,
}

/// Settings of a β step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Step η of the unrolled fusion step; the paper gives none, a search uses the fusion learning rate.
    pub eta: f64,
    /// Where the difference is taken.
    pub radius: Radius,
    /// Which form is returned.
    pub form: Form,
    /// Whether both forms are computed, to say how far they are apart: a diagnostic for a run to log now and then.
    pub compare: bool,
    /// How logits become weights.
    pub weighting: Weighting,
}

impl Settings {
    /// Whether the derivative along v is computed.
    fn needs_trace(&self) -> bool {
        self.form == Form::Exact || self.compare
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            eta: 1e-4,
            radius: Radius::OverNorm(0.01),
            form: Form::FiniteDifference,
            compare: false,
            weighting: Weighting::Softmax,
        }
    }
}

/// How far the difference is from the exact derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// ‖difference − exact‖ / ‖exact‖; 0 when both vanish.
    pub relative: f64,
    /// Cosine of the angle between the two; 1 when one vanishes.
    pub cosine: f64,
}

/// The result of a β step.
#[derive(Clone, Debug)]
pub struct Hypergradient {
    /// d L_val(ω′) / dβ, one value for each term, in the form asked for. All zero when `v_norm` is.
    pub gradient: Vec<f64>,
    /// ℓ(ω).
    pub terms: Vec<f64>,
    /// h·ℓ(ω) and the fixed part of the loss.
    pub fusion_loss: f64,
    /// L_val(ω′).
    pub validation_loss: f64,
    /// ‖v‖. Zero when the task's loss does not depend on the fused image at ω′: there is no direction to search in, and the
    /// gradient is zero. Below the smallest normal `f32` it counts as zero.
    pub v_norm: f64,
    /// R; `None` when `v_norm` counts as zero or the form is exact.
    pub radius: Option<f64>,
    /// Between the two forms, where both were computed.
    pub distance: Option<Distance>,
}

/// Why a β step failed.
#[derive(Debug, thiserror::Error)]
pub enum HypergradientError {
    /// Networks and derivatives.
    #[error(transparent)]
    Torch(#[from] TorchError),
    /// The fusion loss.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// The task's loss.
    #[error("validation loss of the β step")]
    Validation(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// NaN or infinity on the way.
    #[error("{what} is {value} in the β step")]
    NonFinite {
        /// Which quantity.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// A setting outside its range.
    #[error("β step: `{setting}` must be positive and finite, found {found}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What was given.
        found: f64,
    },
}

impl From<TchError> for HypergradientError {
    fn from(error: TchError) -> Self {
        HypergradientError::Torch(error.into())
    }
}

/// The derivative of L_val(ω′) by the logits `[n]`, at parameters `omega`; `evaluation` is that of the fusion loss there with the
/// weights of these logits, where it has been made.
///
/// # Errors
/// When an evaluation fails or a loss, term or ‖v‖ is not finite.
pub fn hypergradient<T>(
    problem: &impl Problem<Trace = T>,
    omega: &Params,
    logits: &Tensor,
    settings: &Settings,
    evaluation: Option<Evaluation<T>>,
) -> Result<Hypergradient, HypergradientError> {
    let evaluation = match evaluation {
        Some(evaluation) => evaluation,
        None => Evaluation::at(problem, omega, logits, settings)?,
    };
    let direction = Direction::find(problem, omega, &evaluation, settings)?;
    let conclude = |change: &[f64], radius| direction.conclude(logits, settings, change, radius);
    if direction.is_flat() {
        let distance = settings.compare.then_some(Distance { relative: 0.0, cosine: 1.0 });
        return Ok(Hypergradient { distance, ..conclude(&vec![0.0; direction.terms.len()], None)? });
    }
    let difference = || {
        let radius = direction.radius(settings.radius)?;
        conclude(&direction.difference(problem, omega, radius)?, Some(radius))
    };
    let exact = || conclude(&direction.derivative(problem, omega, evaluation.trace)?, None);
    if settings.compare {
        let (difference, exact) = (difference()?, exact()?);
        let distance = Some(distance(&difference.gradient, &exact.gradient));
        let asked = if settings.form == Form::Exact { exact } else { difference };
        return Ok(Hypergradient { distance, ..asked });
    }
    match settings.form {
        Form::FiniteDifference => difference(),
        Form::Exact => exact(),
    }
}

fn finite(what: &'static str, value: f64) -> Result<f64, HypergradientError> {
    if value.is_finite() { Ok(value) } else { Err(HypergradientError::NonFinite { what, value }) }
}

fn distance(found: &[f64], exact: &[f64]) -> Distance {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let off: Vec<f64> = found.iter().zip(exact).map(|(a, b)| a - b).collect();
    let scale = dot(exact, exact).sqrt();
    let length = dot(found, found).sqrt() * scale;
    let gap = dot(&off, &off).sqrt();
    Distance {
        relative: if gap == 0.0 { 0.0 } else { gap / scale },
        cosine: if length == 0.0 { 1.0 } else { dot(found, exact) / length },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance(&[0.0, 0.0], &[0.0, 0.0]), Distance { relative: 0.0, cosine: 1.0 });
        let d = distance(&[3.0, 0.0], &[0.0, 4.0]);
        assert_eq!((d.relative, d.cosine), (1.25, 0.0));
        assert!(distance(&[1.0], &[0.0]).relative.is_infinite());
    }
}
