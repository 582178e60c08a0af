//! The direction v of a β step, and what the terms do along it.

use super::evaluation::Evaluation;
use super::{Hypergradient, HypergradientError, Problem, Radius, Settings, finite};
use caf_torch::{Params, gradients_of_all, norm};
use tch::{TchError, Tensor};

/// Everything both forms share: ℓ(ω), L_val(ω′) and v.
pub(super) struct Direction {
    v: Vec<Tensor>,
    pub(super) v_norm: f64,
    pub(super) terms: Vec<f64>,
    fusion_loss: f64,
    validation_loss: f64,
}

impl Direction {
    pub(super) fn find<T>(
        problem: &impl Problem<Trace = T>,
        omega: &Params,
        evaluation: &Evaluation<T>,
        settings: &Settings,
    ) -> Result<Self, HypergradientError> {
        positive("eta", settings.eta)?;
        let stepped = moved(&omega.trainable(), &evaluation.gradient, -settings.eta)?;
        let (unrolled, leaves) = omega.with_trainable(&stepped)?.recording()?;
        drop(stepped);
        let loss = problem.validation_loss(&unrolled)?;
        let validation_loss = mean(vec![finite("validation loss", f64::try_from(&loss)?)?])?.remove(0);
        // A task whose loss records nothing does not depend on ω: the direction is zero, which is reported, not refused.
        let v = if loss.requires_grad() {
            gradients_of_all(&loss, &leaves)?
        } else {
            leaves.iter().map(Tensor::f_zeros_like).collect::<Result<_, _>>()?
        };
        let v_norm = finite("‖v‖", norm(&v)?)?;
        Ok(Direction {
            v,
            v_norm,
            terms: evaluation.terms.clone(),
            fusion_loss: evaluation.fusion_loss,
            validation_loss,
        })
    }

    /// Whether there is no direction to search in: v is zero, or so near that a step along it cannot be told from none in the
    /// parameters' precision.
    pub(super) fn is_flat(&self) -> bool {
        self.v_norm < f64::from(f32::MIN_POSITIVE)
    }

    pub(super) fn radius(&self, radius: Radius) -> Result<f64, HypergradientError> {
        match radius {
            Radius::OverNorm(r) => Ok(positive("radius", r)? / self.v_norm),
            Radius::Constant(r) => positive("radius", r),
        }
    }

    /// (ℓ(ω + R v) − ℓ(ω − R v)) / 2R without derivatives.
    pub(super) fn difference(
        &self,
        problem: &impl Problem,
        omega: &Params,
        radius: f64,
    ) -> Result<Vec<f64>, HypergradientError> {
        let _guard = tch::no_grad_guard();
        let terms_at = |step: f64| {
            let there = omega.with_trainable(&moved(&omega.trainable(), &self.v, step)?)?;
            let terms = problem.terms(&there)?;
            terms.require_finite()?;
            Ok::<_, HypergradientError>(terms.to_vec()?)
        };
        let (plus, minus) = (terms_at(radius)?, terms_at(-radius)?);
        mean(plus.iter().zip(&minus).map(|((_, plus), (_, minus))| (plus - minus) / (2.0 * radius)).collect())
    }

    /// dℓ(ω + t v)/dt at t = 0.
    pub(super) fn derivative<T>(
        &self,
        problem: &impl Problem<Trace = T>,
        omega: &Params,
        trace: Option<T>,
    ) -> Result<Vec<f64>, HypergradientError> {
        let trace = match trace {
            Some(trace) => trace,
            None => {
                let _guard = tch::no_grad_guard();
                problem.terms_traced(omega)?.1
            }
        };
        let rates = mean(problem.terms_along(trace, omega, &self.v)?)?;
        rates.into_iter().map(|rate| finite("derivative of a term along v", rate)).collect()
    }

    /// −η Jᵀ applied to the change rates of the terms.
    pub(super) fn conclude(
        &self,
        logits: &Tensor,
        settings: &Settings,
        change: &[f64],
        radius: Option<f64>,
    ) -> Result<Hypergradient, HypergradientError> {
        let pulled = settings.weighting.pull_back(logits, change)?;
        Ok(Hypergradient {
            gradient: pulled.into_iter().map(|g| -settings.eta * g).collect(),
            terms: self.terms.clone(),
            fusion_loss: self.fusion_loss,
            validation_loss: self.validation_loss,
            v_norm: self.v_norm,
            radius,
            distance: None,
        })
    }
}

/// Of the batch of all ranks.
fn mean(numbers: Vec<f64>) -> Result<Vec<f64>, HypergradientError> {
    Ok(caf_ranks::mean_numbers(numbers)?)
}

/// `from` + `step` · `along`, as new tensors without a record.
fn moved(from: &[Tensor], along: &[Tensor], step: f64) -> Result<Vec<Tensor>, TchError> {
    let _guard = tch::no_grad_guard();
    from.iter().zip(along).map(|(x, d)| x.f_detach()?.f_add(&d.f_mul_scalar(step)?)).collect()
}

fn positive(setting: &'static str, found: f64) -> Result<f64, HypergradientError> {
    if found.is_finite() && found > 0.0 { Ok(found) } else { Err(HypergradientError::Setting { setting, found }) }
}
