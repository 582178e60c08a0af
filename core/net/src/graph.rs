//! The graph and its parts.

use crate::error::GraphError;
use crate::infer::infer;
use crate::op::Op;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// A tensor inside one graph: an input or the result of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Value(pub(crate) usize);

impl Value {
    /// Position among all values of the graph: inputs first, then nodes in order.
    pub fn index(self) -> usize {
        self.0
    }
}

/// A parameter of one graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ParamId(pub(crate) usize);

impl ParamId {
    /// Position in [`Graph::params`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// What a parameter is for: decides its initial value, its optimiser group and whether it is trained at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ParamRole {
    /// Convolution kernel.
    ConvWeight,
    /// Convolution bias; `fan_in` is inputs × kernel area.
    ConvBias {
        /// Inputs that reach one output.
        fan_in: usize,
    },
    /// Bias of a YOLOv5 head level, which starts from a prior on object density.
    DetectBias {
        /// Inputs that reach one output.
        fan_in: usize,
        /// Network-input pixels per cell.
        stride: usize,
        /// Number of classes.
        classes: usize,
    },
    /// Scale of a normalisation.
    NormWeight,
    /// Shift of a normalisation.
    NormBias,
    /// Running mean: moved by training batches, not by the optimiser.
    RunningMean,
    /// Running variance, likewise.
    RunningVar,
    /// Number of batches seen, a 64-bit integer scalar.
    BatchCount,
    /// Anchors in units of cells, `[levels, anchors, 2]`; constant.
    Anchors,
}

impl ParamRole {
    /// Whether an optimiser moves it.
    pub fn is_trainable(self) -> bool {
        match self {
            ParamRole::ConvWeight
            | ParamRole::ConvBias { .. }
            | ParamRole::DetectBias { .. }
            | ParamRole::NormWeight
            | ParamRole::NormBias => true,
            ParamRole::RunningMean | ParamRole::RunningVar | ParamRole::BatchCount | ParamRole::Anchors => false,
        }
    }
}

/// A named parameter or buffer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParamSpec {
    /// Name in the original `state_dict`, after the graph's prefix.
    pub name: String,
    /// Shape; a scalar has none.
    pub shape: Vec<usize>,
    /// Its purpose.
    pub role: ParamRole,
    /// Value of a constant buffer ([`ParamRole::Anchors`]), row-major.
    pub constant: Option<Vec<f32>>,
}

impl ParamSpec {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One extent of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Dim {
    /// Always this many.
    Fixed(usize),
    /// Chosen by the caller; equal names mean equal extents.
    Named(String),
    /// Follows from a named extent in a way that is not tracked.
    Any,
}

impl Dim {
    /// Whether the two can be equal.
    pub(crate) fn agrees(&self, other: &Dim) -> bool {
        match (self, other) {
            (Dim::Fixed(a), Dim::Fixed(b)) => a == b,
            (Dim::Named(a), Dim::Named(b)) => a == b,
            (Dim::Any, _) | (_, Dim::Any) => true,
            (Dim::Fixed(_), Dim::Named(_)) | (Dim::Named(_), Dim::Fixed(_)) => false,
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(n) => write!(f, "{n}"),
            Dim::Named(name) => f.write_str(name),
            Dim::Any => f.write_str("?"),
        }
    }
}

/// Element type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Element {
    /// Floats.
    F32,
    /// Bytes.
    U8,
}

/// Element type and extents of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorType {
    /// Element type.
    pub element: Element,
    /// Extents, outermost first.
    pub dims: Vec<Dim>,
}

impl TensorType {
    /// Floats laid out batch, channel, height, width.
    pub fn nchw(batch: Dim, channels: usize, height: Dim, width: Dim) -> Self {
        TensorType { element: Element::F32, dims: vec![batch, Dim::Fixed(channels), height, width] }
    }

    /// Bytes laid out batch, height, width, channel.
    pub fn nhwc_bytes(batch: Dim, height: Dim, width: Dim, channels: usize) -> Self {
        TensorType { element: Element::U8, dims: vec![batch, height, width, Dim::Fixed(channels)] }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.element {
            Element::F32 => "f32[",
            Element::U8 => "u8[",
        })?;
        for (i, dim) in self.dims.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{dim}")?;
        }
        f.write_str("]")
    }
}

/// A named input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Input {
    /// Name.
    pub name: String,
    /// The value it makes.
    pub value: Value,
}

/// A named output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Output {
    /// Name.
    pub name: String,
    /// The value it shows.
    pub value: Value,
}

/// One step of a graph.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// Unique name, after the module of the original where there is one.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<Value>,
    /// What it makes.
    pub output: Value,
}

/// A whole network. Made by a [`crate::Builder`]; always consistent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Graph {
    pub(crate) name: String,
    pub(crate) inputs: Vec<Input>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) params: Vec<ParamSpec>,
    pub(crate) types: Vec<TensorType>,
}

impl Graph {
    /// Name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Inputs in the order a caller gives them.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Nodes in execution order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Outputs in the order an interpreter returns them.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Parameters and buffers in the order in which the graph uses them.
    pub fn params(&self) -> &[ParamSpec] {
        &self.params
    }

    /// The parameter behind an id of this graph.
    pub fn param(&self, id: ParamId) -> &ParamSpec {
        &self.params[id.0]
    }

    /// Element type and extents of a value of this graph.
    pub fn type_of(&self, value: Value) -> &TensorType {
        &self.types[value.0]
    }

    /// Number of values: inputs and nodes.
    pub fn value_count(&self) -> usize {
        self.types.len()
    }

    /// The output of that name.
    pub fn output(&self, name: &str) -> Option<Value> {
        self.outputs.iter().find(|o| o.name == name).map(|o| o.value)
    }

    /// Number of trainable scalars.
    pub fn trainable_count(&self) -> usize {
        self.params.iter().filter(|p| p.role.is_trainable()).map(ParamSpec::len).sum()
    }

    /// The same graph with named extents fixed, every shape checked again.
    ///
    /// # Errors
    /// When no input has such an extent, or a shape no longer fits; the message names the node.
    pub fn bind(&self, extents: &[(&str, usize)]) -> Result<Graph, GraphError> {
        let mut graph = self.clone();
        let mut present = BTreeSet::new();
        let mut bound = BTreeSet::new();
        for input in &self.inputs {
            for dim in &mut graph.types[input.value.0].dims {
                if let Dim::Named(name) = dim {
                    present.insert(name.clone());
                    if let Some((wanted, extent)) = extents.iter().find(|(wanted, _)| wanted == name) {
                        bound.insert(*wanted);
                        *dim = Dim::Fixed(*extent);
                    }
                }
            }
        }
        if let Some((name, _)) = extents.iter().find(|(name, _)| !bound.contains(name)) {
            return Err(GraphError::NoSuchDim {
                graph: self.name.clone(),
                name: (*name).to_owned(),
                present: present.into_iter().collect::<Vec<_>>().join(", "),
            });
        }
        for node in &self.nodes {
            let inputs: Vec<&TensorType> = node.inputs.iter().map(|v| &graph.types[v.0]).collect();
            let inferred = infer(&node.name, &node.op, &inputs, &self.params)?;
            graph.types[node.output.0] = inferred;
        }
        Ok(graph)
    }

    /// The same network showing the results of these nodes, each under its node's name and in this order, in place of its
    /// own outputs. Parameters stay those of the whole network.
    ///
    /// # Errors
    /// [`GraphError::NoSuchNode`] with the first name that no node has.
    pub fn with_outputs(&self, nodes: &[&str]) -> Result<Graph, GraphError> {
        let output = |name: &&str| match self.nodes.iter().find(|node| node.name == *name) {
            Some(node) => Ok(Output { name: node.name.clone(), value: node.output }),
            None => Err(GraphError::NoSuchNode { graph: self.name.clone(), name: (*name).to_owned() }),
        };
        let outputs = nodes.iter().map(output).collect::<Result<_, GraphError>>()?;
        Ok(Graph { outputs, ..self.clone() })
    }

    /// The node that made a value, `None` for an input.
    pub fn producer(&self, value: Value) -> Option<&Node> {
        value.0.checked_sub(self.inputs.len()).and_then(|i| self.nodes.get(i))
    }

    /// How many nodes and outputs read a value.
    pub fn uses(&self, value: Value) -> usize {
        let by_nodes = self.nodes.iter().flat_map(|n| &n.inputs).filter(|v| **v == value).count();
        by_nodes + self.outputs.iter().filter(|o| o.value == value).count()
    }
}

#[cfg(test)]
mod tests {
    use crate::GraphError;
    use crate::zoo::caf::{self, CafConfig};

    #[test]
    fn any_node_can_be_shown() {
        let whole = caf::graph(&CafConfig::default()).unwrap();
        let shown = whole.with_outputs(&["dense.1.relu", "encoder1.0"]).unwrap();
        let names: Vec<&str> = shown.outputs().iter().map(|o| o.name.as_str()).collect();
        assert_eq!(names, ["dense.1.relu", "encoder1.0"]);
        let dense = shown.output("dense.1.relu").unwrap();
        assert_eq!(shown.type_of(dense).to_string(), "f32[batch, 32, height, width]");
        assert_eq!(shown.params(), whole.params());
        let error = whole.with_outputs(&["encoder1.0", "encoder3.0"]).unwrap_err();
        assert_eq!(error, GraphError::NoSuchNode { graph: "caf".into(), name: "encoder3.0".into() });
    }
}
