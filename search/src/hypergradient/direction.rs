//! The direction v of a β step, and what the terms do along it.

use super::{Hypergradient, HypergradientError, Problem, Radius, Settings};
use caf_torch::{GradOptions, Params, gradients, norm};
use tch::{Kind, TchError, Tensor};

/// Everything both forms share: ℓ(ω), L_val(ω′) and v.
pub(super) struct Direction {
    v: Vec<Tensor>,
    pub(super) v_norm: f64,
    pub(super) terms: Vec<f64>,
    fusion_loss: f64,
    validation_loss: f64,
}

impl Direction {
    pub(super) fn find(
        problem: &impl Problem,
        omega: &Params,
        logits: &Tensor,
        settings: &Settings,
    ) -> Result<Self, HypergradientError> {
        positive("eta", settings.eta)?;
        let (at_omega, leaves) = leaves(omega, &omega.trainable())?;
        let terms = problem.terms(&problem.fuse(&at_omega)?)?;
        let loss = settings.weighting.total(&terms, &logits.f_detach()?)?;
        terms.require_finite()?;
        let fusion_loss = finite("fusion loss", f64::try_from(&loss)?)?;
        let steps = gradients(&loss, &leaves, GradOptions::default())?;
        let values = terms.to_vec()?.into_iter().map(|(_, value)| value).collect();
        drop((terms, loss, at_omega));

        let stepped = moved(&leaves, &steps, -settings.eta)?;
        drop(steps);
        let (unrolled, leaves) = self::leaves(omega, &stepped)?;
        let loss = problem.validation_loss(&unrolled)?;
        let validation_loss = finite("validation loss", f64::try_from(&loss)?)?;
        // A task whose loss records nothing does not depend on ω: the direction is zero, which is reported, not refused.
        let v = if loss.requires_grad() {
            gradients(&loss, &leaves, GradOptions::default())?
        } else {
            leaves.iter().map(Tensor::f_zeros_like).collect::<Result<_, _>>()?
        };
        let v_norm = finite("‖v‖", norm(&v)?)?;
        Ok(Direction { v, v_norm, terms: values, fusion_loss, validation_loss })
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
            let terms = problem.terms(&problem.fuse(&there)?)?;
            terms.require_finite()?;
            Ok::<_, HypergradientError>(terms.to_vec()?)
        };
        let (plus, minus) = (terms_at(radius)?, terms_at(-radius)?);
        Ok(plus.iter().zip(&minus).map(|((_, plus), (_, minus))| (plus - minus) / (2.0 * radius)).collect())
    }

    /// dℓ(ω + t v)/dt at t = 0.
    ///
    /// J_F v comes from two backward passes: with s of F's shape, a(s) = (∂F/∂ω)ᵀ s is linear in s, so the derivative of ⟨a(s), v⟩
    /// by s is (∂F/∂ω) v, whatever s is.
    pub(super) fn derivative(&self, problem: &impl Problem, omega: &Params) -> Result<Vec<f64>, HypergradientError> {
        let (at_omega, leaves) = leaves(omega, &omega.trainable())?;
        let fused = problem.fuse(&at_omega)?;
        let s = fused.f_zeros_like()?.f_detach()?.f_set_requires_grad(true)?;
        let record = GradOptions { keep_graph: true, create_graph: true };
        let pulled = gradients(&fused.f_mul(&s)?.f_sum(None::<Kind>)?, &leaves, record)?;
        let mut along = Tensor::f_zeros([0i64; 0], (omega.kind(), omega.device()))?;
        for (a, v) in pulled.iter().zip(&self.v) {
            along = along.f_add(&a.f_mul(v)?.f_sum(None::<Kind>)?)?;
        }
        let tangent = match gradients(&along, &[s], GradOptions::default())?.pop() {
            Some(tangent) => tangent.f_detach()?,
            None => return Ok(vec![0.0; self.terms.len()]),
        };

        let image = fused.f_detach()?.f_set_requires_grad(true)?;
        let terms = problem.terms(&image)?;
        let n = terms.names().len() as i64;
        let mut rates = Vec::with_capacity(terms.names().len());
        for i in 0..n {
            let term = terms.values().f_select(0, i)?;
            // The record of the terms is kept for all but the last.
            let options = GradOptions { keep_graph: i + 1 < n, create_graph: false };
            let slope = gradients(&term, std::slice::from_ref(&image), options)?;
            let rate = match slope.first() {
                Some(slope) => f64::try_from(slope.f_mul(&tangent)?.f_sum(Kind::Double)?)?,
                None => 0.0,
            };
            rates.push(finite("derivative of a term along v", rate)?);
        }
        Ok(rates)
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
        })
    }
}

/// The parameters with trainable tensors that record derivatives, and these tensors. They share memory with `tensors`, but are
/// tensors of their own: what is switched on here shows nowhere else.
fn leaves(omega: &Params, tensors: &[Tensor]) -> Result<(Params, Vec<Tensor>), HypergradientError> {
    let leaf = |t: &Tensor| t.f_detach()?.f_set_requires_grad(true);
    let leaves = tensors.iter().map(leaf).collect::<Result<Vec<_>, TchError>>()?;
    Ok((omega.with_trainable(&leaves)?, leaves))
}

/// `from` + `step` · `along`, as new tensors without a record.
fn moved(from: &[Tensor], along: &[Tensor], step: f64) -> Result<Vec<Tensor>, TchError> {
    let _guard = tch::no_grad_guard();
    from.iter().zip(along).map(|(x, d)| x.f_detach()?.f_add(&d.f_mul_scalar(step)?)).collect()
}

fn finite(what: &'static str, value: f64) -> Result<f64, HypergradientError> {
    if value.is_finite() { Ok(value) } else { Err(HypergradientError::NonFinite { what, value }) }
}

fn positive(setting: &'static str, found: f64) -> Result<f64, HypergradientError> {
    if found.is_finite() && found > 0.0 { Ok(found) } else { Err(HypergradientError::Setting { setting, found }) }
}
