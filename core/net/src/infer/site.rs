//! Where inference stands: checks that every op needs, and errors that name the node.

use crate::error::GraphError;
use crate::op::Op;
use crate::param::{ParamId, ParamSpec};
use crate::tensor::{Dim, Element, TensorType};

/// One node and what it may refer to: checks end in errors that name it.
pub(super) struct Site<'a> {
    pub(super) node: &'a str,
    pub(super) op: &'a Op,
    pub(super) params: &'a [ParamSpec],
}

impl<'a> Site<'a> {
    pub(super) fn error(&self, expected: impl Into<String>, found: impl Into<String>) -> GraphError {
        GraphError::Shape {
            op: self.op.kind(),
            node: self.node.to_owned(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(super) fn require(
        &self,
        holds: bool,
        expected: impl Into<String>,
        found: &TensorType,
    ) -> Result<(), GraphError> {
        if holds { Ok(()) } else { Err(self.error(expected, found.to_string())) }
    }

    pub(super) fn arity(&self, expected: &'static str, found: usize) -> GraphError {
        GraphError::Arity { op: self.op.kind(), node: self.node.to_owned(), expected, found }
    }

    pub(super) fn one<'t>(&self, inputs: &[&'t TensorType]) -> Result<&'t TensorType, GraphError> {
        match inputs {
            [x] => Ok(x),
            _ => Err(self.arity("1", inputs.len())),
        }
    }

    /// Two inputs of floats.
    pub(super) fn two<'t>(&self, inputs: &[&'t TensorType]) -> Result<[&'t TensorType; 2], GraphError> {
        let [a, b] = inputs else {
            return Err(self.arity("2", inputs.len()));
        };
        for x in [a, b] {
            self.require(x.element == Element::F32, "floats", x)?;
        }
        Ok([a, b])
    }

    /// One input of floats, any rank.
    pub(super) fn floats(&self, inputs: &[&TensorType]) -> Result<TensorType, GraphError> {
        let x = self.one(inputs)?;
        self.require(x.element == Element::F32, "floats", x)?;
        Ok(x.clone())
    }

    /// One input of floats laid out NCHW.
    pub(super) fn image(&self, inputs: &[&TensorType]) -> Result<TensorType, GraphError> {
        let x = self.one(inputs)?;
        self.require(x.element == Element::F32 && x.dims.len() == 4, "floats laid out NCHW", x)?;
        Ok(x.clone())
    }

    pub(super) fn axis(&self, axis: usize, x: &TensorType) -> Result<(), GraphError> {
        self.require(axis < x.dims.len(), format!("an axis {axis}"), x)
    }

    /// A fixed extent.
    pub(super) fn fixed(&self, axis: usize, what: &str, x: &TensorType) -> Result<usize, GraphError> {
        match x.dims.get(axis) {
            Some(Dim::Fixed(n)) => Ok(*n),
            _ => Err(self.error(format!("a fixed number of {what}"), x.to_string())),
        }
    }

    pub(super) fn param(&self, id: ParamId) -> Result<&'a ParamSpec, GraphError> {
        self.params.get(id.0).ok_or_else(|| GraphError::Foreign { op: self.op.kind(), node: self.node.to_owned() })
    }

    pub(super) fn param_shape(&self, id: ParamId, shape: &[usize]) -> Result<(), GraphError> {
        let p = self.param(id)?;
        if p.shape == shape {
            Ok(())
        } else {
            Err(self.error(format!("`{}` of shape {shape:?}", p.name), format!("{:?}", p.shape)))
        }
    }
}
