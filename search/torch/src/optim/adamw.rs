//! AdamW (Loshchilov and Hutter, 2019): Adam with weight decay apart from the gradient.

use super::{Adam, AdamConfig};
use crate::error::TorchError;
use caf_weights::Weights;
use tch::{Tensor, no_grad};

/// Rate and decay of one parameter in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWGroup {
    /// Learning rate.
    pub rate: f64,
    /// Share of the parameter that is taken off, times the rate.
    pub decay: f64,
}

/// State for a fixed list of parameters.
#[derive(Debug)]
pub struct AdamW {
    adam: Adam,
}

impl AdamW {
    /// State for tensors shaped like `params`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(config: AdamConfig, params: &[Tensor]) -> Result<Self, TorchError> {
        Ok(AdamW { adam: Adam::new(config, params)? })
    }

    /// One step: `p ← (1 − rate · decay) · p`, then `p ← p − rate · m̂ / (√v̂ + ε)`. `groups[i]` belongs to `params[i]`.
    ///
    /// # Errors
    /// When the lists differ in length or a gradient's shape from its parameter's.
    pub fn step(&mut self, params: &[Tensor], grads: &[Tensor], groups: &[AdamWGroup]) -> Result<(), TorchError> {
        self.adam.require_lists([params.len(), grads.len(), groups.len()])?;
        no_grad(|| -> Result<(), TorchError> {
            for (p, group) in params.iter().zip(groups).filter(|(_, group)| group.decay != 0.0) {
                let _ = p.shallow_clone().f_mul_scalar_(1.0 - group.rate * group.decay)?;
            }
            Ok(())
        })?;
        let rates: Vec<f64> = groups.iter().map(|group| group.rate).collect();
        self.adam.step_at(params, grads, &rates)
    }

    /// Steps taken.
    pub fn steps(&self) -> i64 {
        self.adam.steps()
    }

    /// Stores the state under names that start with `prefix`.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn save(&self, weights: &mut Weights, prefix: &str) -> Result<(), TorchError> {
        self.adam.save(weights, prefix)
    }

    /// Restores what [`AdamW::save`] stored.
    ///
    /// # Errors
    /// When an entry is absent or of another shape; `self` is then unchanged.
    pub fn load(&mut self, weights: &Weights, prefix: &str) -> Result<(), TorchError> {
        self.adam.load(weights, prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paper's Algorithm 2 on two numbers in plain f64, one with decay and ten times the rate, one without.
    #[test]
    fn follows_the_paper_in_float64() {
        let ps = [Tensor::from_slice(&[0.7f64]), Tensor::from_slice(&[-0.2f64])];
        let handles = || ps.iter().map(Tensor::shallow_clone).collect::<Vec<_>>();
        let mut adamw = AdamW::new(AdamConfig::default(), &handles()).unwrap();
        let groups = |t: i32| {
            let rate = 0.01 / f64::from(t);
            [AdamWGroup { rate: 10.0 * rate, decay: 0.05 }, AdamWGroup { rate, decay: 0.0 }]
        };
        let (mut x, mut m, mut v) = ([0.7f64, -0.2], [0.0f64; 2], [0.0f64; 2]);
        for t in 1..=20 {
            let g = [(3.0 * x[0]).sin() + 0.1 * f64::from(t), x[1] - 0.3];
            adamw.step(&handles(), &g.map(|g| Tensor::from_slice(&[g])), &groups(t)).unwrap();
            for i in 0..2 {
                let AdamWGroup { rate, decay } = groups(t)[i];
                m[i] = 0.9 * m[i] + 0.1 * g[i];
                v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
                let (m, v) = (m[i] / (1.0 - 0.9f64.powi(t)), v[i] / (1.0 - 0.999f64.powi(t)));
                x[i] = x[i] - rate * decay * x[i] - rate * m / (v.sqrt() + 1e-8);
                assert!((ps[i].double_value(&[0]) - x[i]).abs() < 1e-13, "step {t}, parameter {i}");
            }
        }
        assert_eq!(adamw.steps(), 20);
    }

    #[test]
    fn a_restored_optimiser_continues_with_the_same_bits() {
        let run = |interrupted: bool| {
            let p = Tensor::from_slice(&[1.0f32, -2.0, 3.0]);
            let mut adamw = AdamW::new(AdamConfig::default(), &[p.shallow_clone()]).unwrap();
            for t in 0..10 {
                if interrupted && t == 5 {
                    let mut saved = Weights::new();
                    adamw.save(&mut saved, "a").unwrap();
                    adamw = AdamW::new(AdamConfig::default(), &[p.shallow_clone()]).unwrap();
                    adamw.load(&saved, "a").unwrap();
                }
                let g = (&p * 0.3 + f64::from(t)).sin();
                adamw.step(&[p.shallow_clone()], &[g], &[AdamWGroup { rate: 0.01, decay: 0.1 }]).unwrap();
            }
            Vec::<f32>::try_from(p).unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(run(false), run(true));
    }

    #[test]
    fn lists_of_other_lengths_are_refused_and_move_nothing() {
        let p = Tensor::from_slice(&[0.4f64]);
        let mut adamw = AdamW::new(AdamConfig::default(), &[p.shallow_clone()]).unwrap();
        let group = AdamWGroup { rate: 1.0, decay: 0.5 };
        let error = adamw.step(&[p.shallow_clone()], &[], &[group]).unwrap_err();
        assert!(matches!(error, TorchError::ForeignParams { expected: 1, found: 0, .. }), "{error}");
        assert_eq!(p.double_value(&[0]), 0.4);
    }
}
