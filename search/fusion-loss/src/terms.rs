//! The values of the terms of one batch.

use crate::error::LossError;
use crate::term::Term;
use tch::{Device, Kind, TchError, Tensor};

/// One scalar for each active term, and what is added outside the search.
#[derive(Debug)]
pub struct Terms {
    names: Vec<Term>,
    values: Tensor,
    fixed: Option<Tensor>,
}

impl Terms {
    /// Joins names and values; `values` is `[names]`, `fixed` a scalar that enters the total with weight 1 and no logit.
    ///
    /// # Errors
    /// When their numbers differ.
    pub fn new(names: Vec<Term>, values: Tensor, fixed: Option<Tensor>) -> Result<Self, LossError> {
        if values.size() != [names.len() as i64] {
            return Err(LossError::Shape {
                tensor: "terms",
                expected: format!("[{}]", names.len()),
                found: values.size(),
            });
        }
        Ok(Terms { names, values, fixed })
    }

    /// Which terms, in the order of the logits.
    pub fn names(&self) -> &[Term] {
        &self.names
    }

    /// Their values `[n]`, differentiable with respect to the fused image.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// What enters the total with weight 1 and no logit: 0.5 (`mse.ir_masked` + `mse.vi_masked`) where that is set.
    pub fn fixed(&self) -> Option<&Tensor> {
        self.fixed.as_ref()
    }

    /// The value of one term, a scalar.
    pub fn get(&self, term: Term) -> Option<Tensor> {
        let at = self.names.iter().position(|t| *t == term)?;
        self.values.f_select(0, at as i64).ok()
    }

    /// Names and values on the host, for logs.
    ///
    /// # Errors
    /// When they cannot be copied.
    pub fn to_vec(&self) -> Result<Vec<(Term, f64)>, LossError> {
        Ok(self.names.iter().copied().zip(host(&self.values)?).collect())
    }

    /// The first term that is NaN or infinite; the fixed part counts as [`Term::MseIrSalient`].
    ///
    /// # Errors
    /// When the values cannot be copied to the host.
    pub fn first_non_finite(&self) -> Result<Option<Term>, LossError> {
        if let Some((term, _)) = self.to_vec()?.into_iter().find(|(_, v)| !v.is_finite()) {
            return Ok(Some(term));
        }
        let fixed = self.fixed.as_ref().map(host).transpose()?.unwrap_or_default();
        Ok(fixed.iter().any(|v| !v.is_finite()).then_some(Term::MseIrSalient))
    }

    /// Fails when a term is NaN or infinite.
    ///
    /// # Errors
    /// [`LossError::NonFiniteTerm`] with the first such term and its value.
    pub fn require_finite(&self) -> Result<(), LossError> {
        match self.first_non_finite()? {
            None => Ok(()),
            Some(term) => {
                let value = self.to_vec()?.into_iter().find(|(t, _)| *t == term).map_or(f64::NAN, |(_, v)| v);
                Err(LossError::NonFiniteTerm { term: term.name(), value })
            }
        }
    }
}

/// A vector's values on the host.
pub(crate) fn host(vector: &Tensor) -> Result<Vec<f64>, LossError> {
    let flat = vector.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_reshape([-1])?.f_contiguous()?;
    Ok(Vec::<f64>::try_from(&flat)?)
}

/// What a term of absolute values is: their mean, a scalar.
pub(crate) fn mean_abs(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_abs()?.f_mean(None::<Kind>)
}

/// What a term of squares is.
pub(crate) fn mean_square(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_square()?.f_mean(None::<Kind>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_term_that_is_not_finite_is_named() {
        let names = vec![Term::L1Ir, Term::SsimVi, Term::GradIr];
        let terms = Terms::new(names.clone(), Tensor::from_slice(&[1.0f32, f32::INFINITY, f32::NAN]), None).unwrap();
        assert_eq!(terms.first_non_finite().unwrap(), Some(Term::SsimVi));
        assert_eq!(terms.require_finite().unwrap_err().to_string(), "loss term `ssim.vi` is inf");
        let fixed = Some(Tensor::from(f32::NAN));
        let terms = Terms::new(names.clone(), Tensor::from_slice(&[1.0f32, 2.0, 3.0]), fixed).unwrap();
        assert_eq!(terms.first_non_finite().unwrap(), Some(Term::MseIrSalient));
        assert_eq!(f64::try_from(terms.get(Term::GradIr).unwrap()).unwrap(), 3.0);
        assert!(terms.get(Term::L1Vi).is_none());
        assert!(Terms::new(names, Tensor::from_slice(&[1.0f32]), None).is_err());
    }
}
