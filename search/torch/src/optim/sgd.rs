//! Stochastic gradient descent with Nesterov momentum and weight decay.

use super::{load_state, save_state};
use crate::error::TorchError;
use caf_weights::Weights;
use tch::{Tensor, no_grad};

/// Rate and decay of one group of parameters in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdGroup {
    /// Learning rate.
    pub rate: f64,
    /// Share of the parameter added to its gradient.
    pub decay: f64,
}

/// State for a fixed list of parameters.
#[derive(Debug)]
pub struct Sgd {
    velocity: Vec<Tensor>,
}

impl Sgd {
    /// State for tensors shaped like `params`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(params: &[Tensor]) -> Result<Self, TorchError> {
        let velocity = params.iter().map(|p| p.f_detach()?.f_zeros_like()).collect::<Result<Vec<_>, _>>()?;
        Ok(Sgd { velocity })
    }

    /// One step: `g ← g + decay·p`, `u ← momentum·u + g`, `p ← p − rate·(g + momentum·u)`.
    ///
    /// `groups[i]` belongs to `params[i]`.
    ///
    /// # Errors
    /// When the lists differ in length or a gradient's shape from its parameter's.
    pub fn step(
        &mut self,
        params: &[Tensor],
        grads: &[Tensor],
        groups: &[SgdGroup],
        momentum: f64,
    ) -> Result<(), TorchError> {
        let expected = self.velocity.len();
        let found = [params.len(), grads.len(), groups.len()].into_iter().find(|n| *n != expected);
        if let Some(found) = found {
            return Err(TorchError::ForeignParams { graph: "SGD".to_owned(), expected, found });
        }
        no_grad(|| -> Result<(), TorchError> {
            for (((p, g), u), group) in params.iter().zip(grads).zip(&mut self.velocity).zip(groups) {
                let mut g = g.f_detach()?;
                if group.decay != 0.0 {
                    g = g.f_add(&p.f_detach()?.f_mul_scalar(group.decay)?)?;
                }
                let _ = u.f_mul_scalar_(momentum)?.f_add_(&g)?;
                let step = g.f_add(&u.f_mul_scalar(momentum)?)?.f_mul_scalar(group.rate)?;
                let _ = p.shallow_clone().f_sub_(&step)?;
            }
            Ok(())
        })
    }

    /// Stores the state under names that start with `prefix`.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn save(&self, weights: &mut Weights, prefix: &str) -> Result<(), TorchError> {
        save_state(weights, &format!("{prefix}.velocity"), &self.velocity)
    }

    /// Restores what [`Sgd::save`] stored.
    ///
    /// # Errors
    /// When an entry is absent or of another shape; `self` is then unchanged.
    pub fn load(&mut self, weights: &Weights, prefix: &str) -> Result<(), TorchError> {
        let mut velocity: Vec<Tensor> = self.velocity.iter().map(Tensor::shallow_clone).collect();
        load_state(weights, &format!("{prefix}.velocity"), &mut velocity)?;
        *self = Sgd { velocity };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_recursion_in_float64() {
        let p = Tensor::from_slice(&[0.4f64]);
        let mut sgd = Sgd::new(&[p.shallow_clone()]).unwrap();
        let (mut x, mut u) = (0.4f64, 0.0f64);
        for t in 0..20 {
            let raw = (2.0 * x).cos() - 0.05 * f64::from(t);
            let group = SgdGroup { rate: 0.03, decay: 0.01 };
            sgd.step(&[p.shallow_clone()], &[Tensor::from_slice(&[raw])], &[group], 0.937).unwrap();
            let g = raw + 0.01 * x;
            u = 0.937 * u + g;
            x -= 0.03 * (g + 0.937 * u);
            assert!((p.double_value(&[0]) - x).abs() < 1e-13, "step {t}");
        }
    }

    #[test]
    fn lists_of_other_lengths_are_refused() {
        let p = Tensor::from_slice(&[0.4f64]);
        let mut sgd = Sgd::new(&[p.shallow_clone()]).unwrap();
        assert!(matches!(sgd.step(&[p], &[], &[], 0.9), Err(TorchError::ForeignParams { expected: 1, found: 0, .. })));
    }
}
