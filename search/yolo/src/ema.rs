//! Exponential moving average of a network.

use crate::error::YoloError;
use caf_net::{Graph, ParamRole};
use caf_torch::Params;
use tch::no_grad;

/// Largest share of the past.
const DECAY: f64 = 0.9999;

/// Updates after which the share has come within 1/e of its largest value.
const TAU: f64 = 2000.0;

/// The average of every floating parameter and running statistic over the optimiser's steps; what validation and results use.
/// Constants (anchors) and counters keep their first value.
#[derive(Debug)]
pub struct Ema {
    params: Params,
    averaged: Vec<bool>,
    updates: u64,
}

impl Ema {
    /// Starts from the present values, with `updates` steps already taken.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(graph: &Graph, params: &Params, updates: u64) -> Result<Self, YoloError> {
        let mut params = params.deep_clone()?;
        params.set_requires_grad(false);
        let averaged = graph.params().iter().map(|p| !matches!(p.role, ParamRole::Anchors | ParamRole::BatchCount));
        Ok(Ema { params, averaged: averaged.collect(), updates })
    }

    /// Share of the past in the update number `updates`, counted from 1: 0.9999 · (1 − exp(−updates / 2000)).
    pub fn decay(updates: u64) -> f64 {
        DECAY * (1.0 - (-(updates as f64) / TAU).exp())
    }

    /// Takes in the values after a step.
    ///
    /// # Errors
    /// When `params` belong to another network.
    pub fn update(&mut self, params: &Params) -> Result<(), YoloError> {
        let (own, new) = (self.params.tensors(), params.tensors());
        if own.len() != new.len() || own.len() != self.averaged.len() {
            return Err(YoloError::Count { what: "parameters", expected: own.len(), found: new.len() });
        }
        let keep = Ema::decay(self.updates + 1);
        no_grad(|| -> Result<(), YoloError> {
            for ((own, new), _) in own.iter().zip(new).zip(&self.averaged).filter(|(_, averaged)| **averaged) {
                let fresh = new.f_detach()?.f_mul_scalar(1.0 - keep)?;
                let _ = own.shallow_clone().f_mul_scalar_(keep)?.f_add_(&fresh)?;
            }
            Ok(())
        })?;
        self.updates += 1;
        Ok(())
    }

    /// The averaged network.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Steps taken in.
    pub fn updates(&self) -> u64 {
        self.updates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_net::zoo::yolov5::{Variant, YoloConfig, graph};
    use tch::{Device, Kind};

    #[test]
    fn an_update_mixes_floats_and_leaves_the_source_alone() {
        let graph = graph(&YoloConfig { width: 0.125, ..YoloConfig::new(Variant::N, 2) }).unwrap();
        let params = Params::init(&graph, 1, Device::Cpu, Kind::Float).unwrap();
        let mut ema = Ema::new(&graph, &params, 9).unwrap();
        let weight = graph.params().iter().position(|p| p.role == ParamRole::ConvWeight).unwrap();
        let before = params.tensors()[weight].double_value(&[0, 0, 0, 0]);
        let _ = params.tensors()[weight].shallow_clone().fill_(2.0);
        ema.update(&params).unwrap();
        let d = 0.9999 * (1.0 - (-10.0f64 / 2000.0).exp());
        let found = ema.params().tensors()[weight].double_value(&[0, 0, 0, 0]);
        assert!((found - (d * before + (1.0 - d) * 2.0)).abs() < 1e-6, "{found}");
        assert_eq!(params.tensors()[weight].double_value(&[0, 0, 0, 0]), 2.0);
        assert_eq!(ema.updates(), 10);
    }

    #[test]
    fn anchors_keep_their_bits() {
        let graph = graph(&YoloConfig { width: 0.125, ..YoloConfig::new(Variant::N, 2) }).unwrap();
        let params = Params::init(&graph, 1, Device::Cpu, Kind::Float).unwrap();
        let mut ema = Ema::new(&graph, &params, 0).unwrap();
        for _ in 0..5 {
            ema.update(&params).unwrap();
        }
        let anchors = graph.params().iter().position(|p| p.role == ParamRole::Anchors).unwrap();
        assert!(ema.params().tensors()[anchors].equal(&params.tensors()[anchors]));
    }
}
