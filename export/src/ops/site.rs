//! One node of a graph and the names around it.

use crate::error::ExportError;
use crate::params::Params;
use crate::precision::Int8Plan;
use caf_net::{Dim, Graph, Node, Norm};

/// One node on its way into an ONNX graph.
pub(crate) struct Site<'a> {
    pub graph: &'a Graph,
    pub params: &'a Params<'a>,
    pub node: &'a Node,
    /// A normalisation that is folded into this convolution.
    pub folded: Option<&'a Norm>,
    /// Names of the inputs' values.
    pub inputs: Vec<&'a str>,
    /// Name of the result.
    pub output: &'a str,
    /// Given where the node reads integers.
    pub int8: Option<&'a Int8Plan>,
}

impl Site<'_> {
    pub(super) fn one(&self) -> Result<&str, ExportError> {
        self.nth(0, 1)
    }

    pub(super) fn nth(&self, i: usize, expected: usize) -> Result<&str, ExportError> {
        self.inputs.get(i).copied().filter(|_| self.inputs.len() == expected).ok_or_else(|| ExportError::Arity {
            op: self.node.op.kind(),
            node: self.node.name.clone(),
            expected,
            found: self.inputs.len(),
        })
    }

    pub(super) fn pair(&self) -> Result<[&str; 2], ExportError> {
        Ok([self.nth(0, 2)?, self.nth(1, 2)?])
    }

    /// Extents of an input, where they are fixed.
    pub(super) fn extents(&self, input: usize) -> Vec<Option<usize>> {
        let fixed = |dim: &Dim| match dim {
            Dim::Fixed(n) => Some(*n),
            Dim::Named(_) | Dim::Shifted { .. } | Dim::Any => None,
        };
        let ty = self.node.inputs.get(input).map(|v| self.graph.type_of(*v));
        ty.map(|t| t.dims.iter().map(fixed).collect()).unwrap_or_default()
    }

    /// Name of a value inside this node.
    pub(super) fn inner(&self, part: &str) -> String {
        format!("{}/{part}", self.node.name)
    }

    pub(super) fn result(&self) -> String {
        self.output.to_owned()
    }
}
