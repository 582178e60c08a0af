//! From logits to weights.

use crate::error::LossError;
use crate::terms::{Terms, host};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// How the searched vector β becomes the weights h of the terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// h = softmax(β): positive, sum 1. The published code.
    #[default]
    Softmax,
    /// h = β ≥ 0, as the paper prints it; [`Weighting::project`] keeps it so.
    Direct,
}

/// Every logit at the start of the published search. With [`Weighting::Softmax`] any equal start is the uniform weighting.
const START: f64 = 1.25e-2;

impl Weighting {
    /// A start of `n` equal weights: logits of 0.0125 (softmax), weights of 1/n (direct). `[n]`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn start(self, n: usize, device: Device, kind: Kind) -> Result<Tensor, LossError> {
        let value = match self {
            Weighting::Softmax => START,
            Weighting::Direct => 1.0 / n.max(1) as f64,
        };
        Ok(Tensor::f_full([n as i64], value, (kind, device))?)
    }

    /// The weights h `[n]`, differentiable with respect to `logits` `[n]`.
    ///
    /// # Errors
    /// When a direct weight is negative or not finite.
    pub fn weights(self, logits: &Tensor) -> Result<Tensor, LossError> {
        match self {
            Weighting::Softmax => Ok(logits.f_softmax(-1, None::<Kind>)?),
            Weighting::Direct => {
                let values = host(logits)?;
                match values.iter().position(|v| !(v.is_finite() && *v >= 0.0)) {
                    Some(position) => Err(LossError::NegativeWeight {
                        position,
                        value: values.get(position).copied().unwrap_or(f64::NAN),
                    }),
                    None => Ok(logits.shallow_clone()),
                }
            }
        }
    }

    /// Σ hᵢ ℓᵢ plus the fixed part, a scalar, differentiable with respect to the terms and `logits` `[n]`.
    ///
    /// # Errors
    /// When the number of logits is not that of the terms, or a direct weight is negative.
    pub fn total(self, terms: &Terms, logits: &Tensor) -> Result<Tensor, LossError> {
        let values = terms.values();
        if logits.size() != values.size() {
            return Err(LossError::Logits { expected: terms.names().len(), found: logits.size() });
        }
        let weights = self.weights(logits)?.f_to_kind(values.kind())?.f_to_device(values.device())?;
        let sum = weights.f_dot(values)?;
        Ok(match terms.fixed() {
            Some(fixed) => sum.f_add(fixed)?,
            None => sum,
        })
    }

    /// Jᵀ d, J = ∂h/∂β at `logits`: how a change rate d of the terms moves Σ hᵢ dᵢ with β. For softmax h ∘ (d − h·d), whose
    /// sum is 0; for direct weights d itself. Computed in 64 bits on the host.
    ///
    /// # Errors
    /// When the lengths differ.
    pub fn pull_back(self, logits: &Tensor, d: &[f64]) -> Result<Vec<f64>, LossError> {
        if logits.size() != [d.len() as i64] {
            return Err(LossError::Logits { expected: d.len(), found: logits.size() });
        }
        match self {
            Weighting::Direct => Ok(d.to_vec()),
            Weighting::Softmax => {
                let h = host(&logits.f_to_kind(Kind::Double)?.f_softmax(-1, None::<Kind>)?)?;
                let mean: f64 = h.iter().zip(d).map(|(h, d)| h * d).sum();
                Ok(h.iter().zip(d).map(|(h, d)| h * (d - mean)).collect())
            }
        }
    }

    /// Puts direct weights that an optimiser step made negative back to 0, in place; softmax logits stay.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn project(self, logits: &mut Tensor) -> Result<(), LossError> {
        if self == Weighting::Direct {
            let _guard = tch::no_grad_guard();
            let _ = logits.f_clamp_min_(0.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_back_is_the_softmax_jacobian() {
        let logits = Tensor::from_slice(&[0.3f64, -1.0, 2.0, 0.0]).set_requires_grad(true);
        let d = [0.5, -2.0, 1.5, 4.0];
        let s = (Weighting::Softmax.weights(&logits).unwrap() * Tensor::from_slice(&d)).sum(Kind::Double);
        let by_autograd = host(&Tensor::run_backward(&[&s], &[&logits], false, false)[0]).unwrap();
        let by_hand = Weighting::Softmax.pull_back(&logits, &d).unwrap();
        for (a, b) in by_autograd.iter().zip(&by_hand) {
            assert!((a - b).abs() < 1e-15, "{a} {b}");
        }
        assert!(by_hand.iter().sum::<f64>().abs() < 1e-15);
        assert_eq!(Weighting::Direct.pull_back(&logits, &d).unwrap(), d);
        assert!(matches!(Weighting::Softmax.pull_back(&logits, &d[..3]), Err(LossError::Logits { expected: 3, .. })));
    }

    #[test]
    fn direct_weights_stay_non_negative() {
        let mut weights = Tensor::from_slice(&[0.5f32, -0.25, 0.0]).set_requires_grad(true);
        let error = Weighting::Direct.weights(&weights).unwrap_err();
        assert!(matches!(error, LossError::NegativeWeight { position: 1, value: -0.25 }), "{error}");
        Weighting::Direct.project(&mut weights).unwrap();
        assert_eq!(host(&Weighting::Direct.weights(&weights).unwrap()).unwrap(), [0.5, 0.0, 0.0]);
    }

    #[test]
    fn both_starts_weigh_all_terms_alike() {
        for weighting in [Weighting::Softmax, Weighting::Direct] {
            let start = weighting.start(4, Device::Cpu, Kind::Double).unwrap();
            for h in host(&weighting.weights(&start).unwrap()).unwrap() {
                assert!((h - 0.25).abs() < 1e-15);
            }
        }
    }
}
