//! Making graphs.

use crate::error::GraphError;
use crate::graph::{Graph, Input, Node, Output};
use crate::infer::infer;
use crate::op::{Activation, Conv, Norm, Op};
use crate::param::{ParamId, ParamRole, ParamSpec};
use crate::tensor::{Dim, TensorType, Value};
use std::collections::HashSet;

/// Adds nodes one by one; every shape is checked as it comes.
///
/// Parameter and node names are prefixed with the current scope ([`Builder::scoped`]), so that two networks can share a graph.
#[derive(Debug)]
pub struct Builder {
    graph: Graph,
    nodes: HashSet<String>,
    names: HashSet<String>,
    scope: String,
}

/// Attributes of [`Builder::conv`].
#[derive(Clone, Debug)]
pub(crate) struct ConvSpec {
    pub(crate) out: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) bias: Bias,
}

impl ConvSpec {
    /// Every pixel, with a bias; an odd kernel keeps the size.
    pub(crate) fn same(out: usize, kernel: usize) -> Self {
        ConvSpec { out, kernel, stride: 1, padding: kernel / 2, bias: Bias::Plain }
    }
}

/// Whether a convolution has a bias, and what it starts from.
#[derive(Clone, Debug)]
pub(crate) enum Bias {
    None,
    Plain,
    /// A draw to which this is added, a value for each output.
    Prior(Vec<f32>),
}

impl Builder {
    /// An empty graph.
    pub fn new(name: impl Into<String>) -> Self {
        Builder {
            graph: Graph {
                name: name.into(),
                inputs: Vec::new(),
                nodes: Vec::new(),
                outputs: Vec::new(),
                params: Vec::new(),
                types: Vec::new(),
            },
            nodes: HashSet::new(),
            names: HashSet::new(),
            scope: String::new(),
        }
    }

    /// Runs `build` with `prefix` before every name it makes.
    pub fn scoped<T>(
        &mut self,
        prefix: &str,
        build: impl FnOnce(&mut Builder) -> Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        let outer = self.scope.len();
        self.scope.push_str(prefix);
        let result = build(self);
        self.scope.truncate(outer);
        result
    }

    /// Declares an input. All inputs come before the first node.
    pub fn input(&mut self, name: &str, ty: TensorType) -> Result<Value, GraphError> {
        if !self.graph.nodes.is_empty() {
            return Err(GraphError::Config {
                network: "graph",
                what: format!("input `{name}` must be declared before the first node"),
            });
        }
        let name = self.unique_node(name)?;
        let value = self.new_value(ty);
        self.graph.inputs.push(Input { name, value });
        Ok(value)
    }

    /// Declares a parameter.
    pub fn param(&mut self, name: &str, shape: &[usize], role: ParamRole) -> Result<ParamId, GraphError> {
        self.declare(name, shape, role, None)
    }

    /// Declares a buffer whose value the graph fixes.
    pub fn constant(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> Result<ParamId, GraphError> {
        self.declare(name, shape, ParamRole::Anchors, Some(values))
    }

    fn declare(
        &mut self,
        name: &str,
        shape: &[usize],
        role: ParamRole,
        given: Option<Vec<f32>>,
    ) -> Result<ParamId, GraphError> {
        let name = format!("{}{name}", self.scope);
        if !self.names.insert(name.clone()) {
            return Err(GraphError::DuplicateParameter { name });
        }
        let id = ParamId(self.graph.params.len());
        self.graph.params.push(ParamSpec { name, shape: shape.to_vec(), role, given });
        Ok(id)
    }

    /// Adds a node.
    ///
    /// # Errors
    /// When the inputs do not fit the op or the name is taken.
    pub fn node(&mut self, name: &str, op: Op, inputs: &[Value]) -> Result<Value, GraphError> {
        let name = self.unique_node(name)?;
        let mut types = Vec::with_capacity(inputs.len());
        for value in inputs {
            let foreign = || GraphError::Foreign { op: op.kind(), node: name.clone() };
            types.push(self.graph.types.get(value.0).ok_or_else(foreign)?);
        }
        let ty = infer(&name, &op, &types, &self.graph.params)?;
        let output = self.new_value(ty);
        self.graph.nodes.push(Node { name, op, inputs: inputs.to_vec(), output });
        Ok(output)
    }

    /// Names an output.
    pub fn output(&mut self, name: &str, value: Value) {
        self.graph.outputs.push(Output { name: name.to_owned(), value });
    }

    /// The finished graph.
    pub fn finish(self) -> Graph {
        self.graph
    }

    /// Element type and extents of a value made so far.
    pub fn type_of(&self, value: Value) -> &TensorType {
        self.graph.type_of(value)
    }

    /// A pointwise non-linearity named after what it follows.
    pub(crate) fn activation(&mut self, name: &str, activation: Activation, x: Value) -> Result<Value, GraphError> {
        self.node(name, Op::Activation(activation), &[x])
    }

    /// A square, undilated, ungrouped convolution with parameters `name.weight` and, if asked for, `name.bias`.
    pub(crate) fn conv(&mut self, name: &str, spec: ConvSpec, x: Value) -> Result<Value, GraphError> {
        let channels = self.channels(name, x)?;
        let conv = self.conv_params(name, spec, channels)?;
        self.node(name, Op::Conv(conv), &[x])
    }

    /// The parameters of [`Builder::conv`] for so many channels, for networks that use them in several places.
    pub(crate) fn conv_params(&mut self, name: &str, spec: ConvSpec, channels: usize) -> Result<Conv, GraphError> {
        let ConvSpec { out, kernel, stride, padding, bias } = spec;
        let fan_in = channels * kernel * kernel;
        let weight = self.param(&format!("{name}.weight"), &[out, channels, kernel, kernel], ParamRole::ConvWeight)?;
        let bias = match bias {
            Bias::None => None,
            Bias::Plain => Some((ParamRole::ConvBias { fan_in }, None)),
            Bias::Prior(prior) => Some((ParamRole::PriorBias { fan_in }, Some(prior))),
        };
        let bias = bias.map(|(role, given)| self.declare(&format!("{name}.bias"), &[out], role, given)).transpose()?;
        Ok(Conv { weight, bias, stride: [stride; 2], padding: [padding; 2], dilation: [1; 2], groups: 1 })
    }

    /// Batch normalisation with the five entries a `state_dict` keeps for it.
    pub(crate) fn norm(&mut self, name: &str, eps: f64, momentum: f64, x: Value) -> Result<Value, GraphError> {
        let channels = self.channels(name, x)?;
        let norm = self.norm_params(name, eps, momentum, channels)?;
        self.node(name, Op::Norm(norm), &[x])
    }

    /// The parameters of [`Builder::norm`] for so many channels, for networks that use them in several places.
    pub(crate) fn norm_params(
        &mut self,
        name: &str,
        eps: f64,
        momentum: f64,
        channels: usize,
    ) -> Result<Norm, GraphError> {
        Ok(Norm {
            weight: self.param(&format!("{name}.weight"), &[channels], ParamRole::NormWeight)?,
            bias: self.param(&format!("{name}.bias"), &[channels], ParamRole::NormBias)?,
            running_mean: self.param(&format!("{name}.running_mean"), &[channels], ParamRole::RunningMean)?,
            running_var: self.param(&format!("{name}.running_var"), &[channels], ParamRole::RunningVar)?,
            batches: self.param(&format!("{name}.num_batches_tracked"), &[], ParamRole::BatchCount)?,
            eps,
            momentum,
        })
    }

    pub(crate) fn channels(&self, name: &str, x: Value) -> Result<usize, GraphError> {
        match self.graph.types.get(x.0).and_then(|t| t.dims.get(1)) {
            Some(Dim::Fixed(n)) => Ok(*n),
            _ => Err(GraphError::Foreign { op: "conv or norm", node: format!("{}{name}", self.scope) }),
        }
    }

    fn unique_node(&mut self, name: &str) -> Result<String, GraphError> {
        let name = format!("{}{name}", self.scope);
        if self.nodes.insert(name.clone()) { Ok(name) } else { Err(GraphError::DuplicateNode { name }) }
    }

    fn new_value(&mut self, ty: TensorType) -> Value {
        self.graph.types.push(ty);
        Value(self.graph.types.len() - 1)
    }
}
