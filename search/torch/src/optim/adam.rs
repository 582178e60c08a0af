//! Adam (Kingma and Ba, 2015), with bias correction and without decay.

use super::{load_state, save_state};
use crate::error::TorchError;
use caf_weights::{HostTensor, Weights};
use tch::{Tensor, no_grad};

/// Constants of [`Adam`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the latter.
    pub eps: f64,
}

impl Default for AdamConfig {
    /// The paper's constants.
    fn default() -> Self {
        AdamConfig { beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }
}

/// State for a fixed list of parameters.
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    steps: i64,
    mean: Vec<Tensor>,
    square: Vec<Tensor>,
}

impl Adam {
    /// State for tensors shaped like `params`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(config: AdamConfig, params: &[Tensor]) -> Result<Self, TorchError> {
        let zeros = || params.iter().map(|p| p.f_detach()?.f_zeros_like()).collect::<Result<Vec<_>, _>>();
        Ok(Adam { config, steps: 0, mean: zeros()?, square: zeros()? })
    }

    /// One step with learning rate `rate`: `p ← p − rate · m̂ / (√v̂ + ε)`.
    ///
    /// # Errors
    /// When a gradient's shape differs from its parameter's.
    pub fn step(&mut self, params: &[Tensor], grads: &[Tensor], rate: f64) -> Result<(), TorchError> {
        self.step_at(params, grads, &vec![rate; params.len()])
    }

    /// [`Adam::step`] with a rate for each parameter.
    pub(super) fn step_at(&mut self, params: &[Tensor], grads: &[Tensor], rates: &[f64]) -> Result<(), TorchError> {
        self.require_lists([params.len(), grads.len(), rates.len()])?;
        let AdamConfig { beta1, beta2, eps } = self.config;
        self.steps += 1;
        let correction1 = 1.0 - beta1.powi(i32::try_from(self.steps).unwrap_or(i32::MAX));
        let correction2 = 1.0 - beta2.powi(i32::try_from(self.steps).unwrap_or(i32::MAX));
        let moments = self.mean.iter_mut().zip(&mut self.square);
        no_grad(|| -> Result<(), TorchError> {
            for (((p, g), rate), (m, v)) in params.iter().zip(grads).zip(rates).zip(moments) {
                let g = g.f_detach()?;
                let _ = m.f_mul_scalar_(beta1)?.f_add_(&g.f_mul_scalar(1.0 - beta1)?)?;
                let _ = v.f_mul_scalar_(beta2)?.f_addcmul_(&g, &g.f_mul_scalar(1.0 - beta2)?)?;
                let denominator = v.f_sqrt()?.f_div_scalar(correction2.sqrt())?.f_add_scalar(eps)?;
                let step = m.f_div(&denominator)?.f_mul_scalar(rate / correction1)?;
                let _ = p.shallow_clone().f_sub_(&step)?;
            }
            Ok(())
        })
    }

    /// Refuses lists that are not as long as that of the parameters.
    pub(super) fn require_lists(&self, lengths: [usize; 3]) -> Result<(), TorchError> {
        let expected = self.mean.len();
        match lengths.into_iter().find(|n| *n != expected) {
            Some(found) => Err(TorchError::ForeignParams { graph: "Adam".to_owned(), expected, found }),
            None => Ok(()),
        }
    }

    /// Steps taken.
    pub fn steps(&self) -> i64 {
        self.steps
    }

    /// Stores the state under names that start with `prefix`.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn save(&self, weights: &mut Weights, prefix: &str) -> Result<(), TorchError> {
        weights.insert(format!("{prefix}.steps"), HostTensor::from_i64(&[], &[self.steps])?)?;
        save_state(weights, &format!("{prefix}.mean"), &self.mean)?;
        save_state(weights, &format!("{prefix}.square"), &self.square)
    }

    /// Restores what [`Adam::save`] stored.
    ///
    /// # Errors
    /// When an entry is absent or of another shape; `self` is then unchanged.
    pub fn load(&mut self, weights: &Weights, prefix: &str) -> Result<(), TorchError> {
        let name = format!("{prefix}.steps");
        let steps = weights.get(&name).map(HostTensor::to_i64_vec).transpose()?;
        let steps = steps.and_then(|s| s.first().copied()).ok_or_else(|| TorchError::OptimiserState {
            name,
            expected: Vec::new(),
            found: "nothing".to_owned(),
        })?;
        let copy = |list: &[Tensor]| list.iter().map(Tensor::shallow_clone).collect::<Vec<_>>();
        let (mut mean, mut square) = (copy(&self.mean), copy(&self.square));
        load_state(weights, &format!("{prefix}.mean"), &mut mean)?;
        load_state(weights, &format!("{prefix}.square"), &mut square)?;
        *self = Adam { config: self.config, steps, mean, square };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    /// The textbook recursion on one number in plain f64.
    #[test]
    fn follows_the_textbook_in_float64() {
        let p = Tensor::from_slice(&[0.7f64]);
        let mut adam = Adam::new(AdamConfig::default(), &[p.shallow_clone()]).unwrap();
        let (mut x, mut m, mut v) = (0.7f64, 0.0f64, 0.0f64);
        for t in 1..=20 {
            let g = (3.0 * x).sin() + 0.1 * t as f64;
            let tensor = Tensor::from_slice(&[g]);
            adam.step(&[p.shallow_clone()], &[tensor], 0.05).unwrap();
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            x -= 0.05 * (m / (1.0 - 0.9f64.powi(t))) / ((v / (1.0 - 0.999f64.powi(t))).sqrt() + 1e-8);
            assert!((p.double_value(&[0]) - x).abs() < 1e-13, "step {t}");
        }
    }

    #[test]
    fn a_restored_optimiser_continues_with_the_same_bits() {
        let run = |interrupted: bool| {
            let p = Tensor::from_slice(&[1.0f32, -2.0, 3.0]);
            let mut adam = Adam::new(AdamConfig::default(), &[p.shallow_clone()]).unwrap();
            for t in 0..10 {
                if interrupted && t == 5 {
                    let mut saved = Weights::new();
                    adam.save(&mut saved, "a").unwrap();
                    adam = Adam::new(AdamConfig::default(), &[p.shallow_clone()]).unwrap();
                    adam.load(&saved, "a").unwrap();
                }
                let g = (&p * 0.3 + t as f64).sin();
                adam.step(&[p.shallow_clone()], &[g], 0.01).unwrap();
            }
            Vec::<f32>::try_from(p.to_kind(Kind::Float)).unwrap()
        };
        let bits = |v: Vec<f32>| v.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(run(false)), bits(run(true)));
    }

    #[test]
    fn a_foreign_state_is_refused_and_changes_nothing() {
        let p = Tensor::from_slice(&[1.0f32, 2.0]);
        let other = Tensor::from_slice(&[1.0f32]);
        let mut saved = Weights::new();
        Adam::new(AdamConfig::default(), &[other]).unwrap().save(&mut saved, "a").unwrap();
        let mut adam = Adam::new(AdamConfig::default(), &[p]).unwrap();
        let error = adam.load(&saved, "a").unwrap_err().to_string();
        assert!(error.contains("a.mean.0") && error.contains("[2]"), "{error}");
        assert_eq!(adam.steps, 0);
    }
}
