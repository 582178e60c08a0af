//! Parameters of a graph, looked up by id.

use crate::error::ExportError;
use crate::fold::NormValues;
use caf_net::{Graph, Norm, ParamId, ParamSpec};
use caf_weights::{HostTensor, Weights};

/// A graph's parameters with their values; the weights were checked against the graph.
pub(crate) struct Params<'a> {
    graph: &'a Graph,
    weights: &'a Weights,
}

impl<'a> Params<'a> {
    /// # Errors
    /// [`ExportError::Weights`] with everything that does not fit.
    pub fn new(graph: &'a Graph, weights: &'a Weights) -> Result<Self, ExportError> {
        weights.check(graph.params())?;
        Ok(Params { graph, weights })
    }

    pub fn spec(&self, id: ParamId) -> &'a ParamSpec {
        self.graph.param(id)
    }

    fn read<T>(
        &self,
        id: ParamId,
        read: impl Fn(&HostTensor) -> Result<Vec<T>, caf_weights::WeightsError>,
    ) -> Result<Vec<T>, ExportError> {
        let name = &self.spec(id).name;
        // The check found every name.
        let Some(tensor) = self.weights.get(name) else { return Ok(Vec::new()) };
        read(tensor).map_err(|source| ExportError::Tensor { name: name.clone(), source: source.into() })
    }

    pub fn f32(&self, id: ParamId) -> Result<Vec<f32>, ExportError> {
        self.read(id, HostTensor::to_f32_vec)
    }

    pub fn f64(&self, id: ParamId) -> Result<Vec<f64>, ExportError> {
        self.read(id, HostTensor::to_f64_vec)
    }

    pub fn norm(&self, norm: &Norm) -> Result<NormValues, ExportError> {
        Ok(NormValues {
            scale: self.f64(norm.weight)?,
            shift: self.f64(norm.bias)?,
            mean: self.f64(norm.running_mean)?,
            variance: self.f64(norm.running_var)?,
            eps: norm.eps,
        })
    }
}
