//! Parameters of one graph as tensors.

use crate::convert::{host_from_tensor, tensor_from_host};
use crate::error::TorchError;
use caf_net::{Graph, ParamId, ParamSpec};
use caf_weights::Weights;
use tch::{Device, Kind, Tensor};

/// One tensor for each entry of [`Graph::params`], in that order.
///
/// Cloning with [`Params::shallow_clone`] shares the tensors; [`Params::deep_clone`] copies them.
#[derive(Debug)]
pub struct Params {
    tensors: Vec<Tensor>,
    trainable: Vec<usize>,
    kind: Kind,
}

impl Params {
    /// Takes the graph's parameters from `weights`; floats become `kind`.
    ///
    /// # Errors
    /// Lists every missing, surplus, misshapen or non-finite tensor.
    pub fn from_weights(graph: &Graph, weights: &Weights, device: Device, kind: Kind) -> Result<Self, TorchError> {
        weights.check(graph.params())?;
        let mut tensors = Vec::with_capacity(graph.params().len());
        for spec in graph.params() {
            let host = weights.get(&spec.name).ok_or_else(|| missing(spec))?;
            let tensor = tensor_from_host(host)?;
            let tensor = if tensor.is_floating_point() { tensor.f_to_kind(kind)? } else { tensor };
            tensors.push(tensor.f_to_device(device)?);
        }
        Ok(Self::new(graph, tensors, kind))
    }

    /// Fresh parameters by the original's default initialisation; equal seeds give equal parameters on every device.
    ///
    /// # Errors
    /// When libtorch cannot hold them.
    pub fn init(graph: &Graph, seed: u64, device: Device, kind: Kind) -> Result<Self, TorchError> {
        Self::from_weights(graph, &caf_weights::initial(graph.params(), seed)?, device, kind)
    }

    fn new(graph: &Graph, tensors: Vec<Tensor>, kind: Kind) -> Self {
        let is_trainable = |(i, spec): (usize, &ParamSpec)| spec.role.is_trainable().then_some(i);
        let trainable = graph.params().iter().enumerate().filter_map(is_trainable).collect();
        Params { tensors, trainable, kind }
    }

    /// Copies everything to host memory under the graph's names.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    pub fn to_weights(&self, graph: &Graph) -> Result<Weights, TorchError> {
        self.require_graph(graph)?;
        let mut weights = Weights::new();
        for (spec, tensor) in graph.params().iter().zip(&self.tensors) {
            weights.insert(spec.name.clone(), host_from_tensor(&spec.name, tensor)?)?;
        }
        Ok(weights)
    }

    /// The tensor of a parameter of the same graph.
    pub fn get(&self, id: ParamId) -> &Tensor {
        &self.tensors[id.index()]
    }

    /// All tensors in the graph's order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Element type of the floats.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where they are.
    pub fn device(&self) -> Device {
        self.tensors.first().map_or(Device::Cpu, Tensor::device)
    }

    /// Handles of what an optimiser moves, in the graph's order.
    pub fn trainable(&self) -> Vec<Tensor> {
        self.trainable.iter().map(|i| self.tensors[*i].shallow_clone()).collect()
    }

    /// The same buffers with other trainable tensors, in the order of [`Params::trainable`].
    ///
    /// # Errors
    /// When their number differs.
    pub fn with_trainable(&self, replacement: &[Tensor]) -> Result<Self, TorchError> {
        if replacement.len() != self.trainable.len() {
            return Err(TorchError::ForeignParams {
                graph: "with_trainable".to_owned(),
                expected: self.trainable.len(),
                found: replacement.len(),
            });
        }
        let mut other = self.shallow_clone();
        for (i, tensor) in self.trainable.iter().zip(replacement) {
            other.tensors[*i] = tensor.shallow_clone();
        }
        Ok(other)
    }

    /// The same parameters with trainable tensors that record derivatives, and these tensors. They share memory with the
    /// originals, but what is recorded on them shows nowhere else.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn recording(&self) -> Result<(Self, Vec<Tensor>), TorchError> {
        let leaf = |t: &Tensor| t.f_detach()?.f_set_requires_grad(true);
        let leaves = self.trainable().iter().map(leaf).collect::<Result<Vec<_>, tch::TchError>>()?;
        Ok((self.with_trainable(&leaves)?, leaves))
    }

    /// Shares the tensors.
    pub fn shallow_clone(&self) -> Self {
        Params {
            tensors: self.tensors.iter().map(Tensor::shallow_clone).collect(),
            trainable: self.trainable.clone(),
            kind: self.kind,
        }
    }

    /// Copies the tensors; the copy is detached from any graph of derivatives.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn deep_clone(&self) -> Result<Self, TorchError> {
        let copy = |t: &Tensor| {
            let mut copy = t.f_detach()?.f_empty_like()?;
            copy.f_copy_(&t.f_detach()?)?;
            Ok(copy)
        };
        Ok(Params {
            tensors: self.tensors.iter().map(copy).collect::<Result<_, tch::TchError>>()?,
            trainable: self.trainable.clone(),
            kind: self.kind,
        })
    }

    /// Whether operations on the trainable tensors are recorded for differentiation.
    pub fn set_requires_grad(&mut self, on: bool) {
        for i in &self.trainable {
            self.tensors[*i] = self.tensors[*i].detach().set_requires_grad(on);
        }
    }

    pub(crate) fn require_graph(&self, graph: &Graph) -> Result<(), TorchError> {
        if self.tensors.len() == graph.params().len() {
            return Ok(());
        }
        Err(TorchError::ForeignParams {
            graph: graph.name().to_owned(),
            expected: graph.params().len(),
            found: self.tensors.len(),
        })
    }
}

fn missing(spec: &ParamSpec) -> TorchError {
    TorchError::Op {
        op: "load",
        node: spec.name.clone(),
        source: tch::TchError::Shape("tensor absent after a successful check".to_owned()),
    }
}
