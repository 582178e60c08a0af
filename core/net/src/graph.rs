//! The graph and its nodes.

use crate::error::GraphError;
use crate::infer::infer;
use crate::op::Op;
use crate::param::{ParamId, ParamSpec};
use crate::tensor::{Dim, TensorType, Value};
use serde::Serialize;
use std::collections::BTreeSet;

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

    /// Multiply-adds of all convolutions; of a graph whose extents are all fixed ([`Graph::bind`]). Convolutions of unknown
    /// size count as none.
    pub fn conv_macs(&self) -> u64 {
        let macs = |node: &Node| {
            let Op::Conv(conv) = &node.op else { return None };
            let [Dim::Fixed(batch), _, Dim::Fixed(height), Dim::Fixed(width)] = self.type_of(node.output).dims[..]
            else {
                return None;
            };
            Some((self.param(conv.weight).len() * batch * height * width) as u64)
        };
        self.nodes.iter().filter_map(macs).sum()
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
    /// own outputs. Nodes after the last of them are left out, parameters stay those of the whole network.
    ///
    /// # Errors
    /// [`GraphError::NoSuchNode`] with the first name that no node has.
    pub fn with_outputs(&self, nodes: &[&str]) -> Result<Graph, GraphError> {
        let output = |name: &&str| match self.nodes.iter().find(|node| node.name == *name) {
            Some(node) => Ok(Output { name: node.name.clone(), value: node.output }),
            None => Err(GraphError::NoSuchNode { graph: self.name.clone(), name: (*name).to_owned() }),
        };
        let outputs = nodes.iter().map(output).collect::<Result<Vec<_>, GraphError>>()?;
        // Values are numbered in the order of inputs and nodes.
        let values = outputs.iter().map(|output| output.value.0 + 1).max().unwrap_or(0).max(self.inputs.len());
        let mut shown = Graph { outputs, ..self.clone() };
        shown.nodes.truncate(values - self.inputs.len());
        shown.types.truncate(values);
        Ok(shown)
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

    /// Every weight of a convolution that keeps the size meets every pixel once: 147.8 kMAC a pixel.
    #[test]
    fn multiply_adds_are_counted() {
        let whole = caf::graph(&CafConfig::default()).unwrap();
        assert_eq!(whole.conv_macs(), 0);
        let bound = whole.bind(&[("batch", 2), ("height", 10), ("width", 5)]).unwrap();
        let kernels: usize = whole.params().iter().filter(|p| p.shape.len() == 4).map(crate::ParamSpec::len).sum();
        assert_eq!((kernels, bound.conv_macs()), (147_776, 147_776 * 100));
    }

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
