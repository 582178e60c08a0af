//! Shape inference: the one place that knows what each op demands and makes.

mod layers;
mod pixels;
mod shapes;

use crate::error::GraphError;
use crate::op::Op;
use crate::param::{ParamId, ParamSpec};
use crate::tensor::{Dim, Element, TensorType};

/// Type of the result of `op`, or what is wrong with its inputs.
pub(crate) fn infer(
    node: &str,
    op: &Op,
    inputs: &[&TensorType],
    params: &[ParamSpec],
) -> Result<TensorType, GraphError> {
    let at = Site { node, op, params };
    match op {
        Op::Conv(conv) => at.conv(conv, at.image(inputs)?),
        Op::Norm(norm) => at.norm(norm, at.image(inputs)?),
        Op::LayerNorm(norm) => at.layer_norm(norm, at.floats(inputs)?),
        Op::Linear(linear) => at.linear(linear, at.floats(inputs)?),
        Op::Activation(_) | Op::Affine { .. } | Op::Clamp { .. } => at.floats(inputs),
        Op::Dropout { rate, unit } => at.dropout(*rate, *unit, at.floats(inputs)?),
        Op::MatMul => at.matmul(at.two(inputs)?),
        Op::Softmax { axis } => {
            let x = at.floats(inputs)?;
            at.axis(*axis, &x)?;
            Ok(x)
        }
        Op::ArgMax { axis } => at.arg_max(*axis, at.floats(inputs)?),
        Op::Add | Op::Sub | Op::Mul => at.broadcast(at.two(inputs)?),
        Op::Constant { shape, values } => at.constant(shape, values, inputs),
        Op::Indices { axis } => {
            let mut x = at.floats(inputs)?;
            at.axis(*axis, &x)?;
            for (_, dim) in x.dims.iter_mut().enumerate().filter(|(i, _)| i != axis) {
                *dim = Dim::Fixed(1);
            }
            Ok(x)
        }
        Op::Concat { axis } => at.concat(*axis, inputs),
        Op::Slice { axis, start, len } => at.slice(*axis, *start, *len, at.floats(inputs)?),
        Op::Reshape { shape } => at.reshape(shape, inputs),
        Op::Permute { order } => at.permute(order, at.floats(inputs)?),
        Op::MaxPool { kernel, stride, padding } => {
            let x = at.image(inputs)?;
            at.require(*stride > 0 && *kernel > 2 * padding, "stride > 0 and padding below half the kernel", &x)?;
            at.window(x, [*kernel; 2], [*stride; 2], [*padding; 2], [1; 2])
        }
        Op::UpsampleNearest { factor } => at.upsample(*factor, at.image(inputs)?),
        Op::ResizeBilinear { height, width } => at.resize([*height, *width], at.image(inputs)?),
        Op::ResizeLike => at.resize_like(at.two(inputs)?),
        Op::Pad { top, bottom, left, right, .. } => at.padded([[*top, *bottom], [*left, *right]], at.image(inputs)?),
        Op::ReflectPad { top, bottom, left, right } => {
            at.reflect_pad([[*top, *bottom], [*left, *right]], at.image(inputs)?)
        }
        Op::Letterbox { size, .. } => at.resize([size.height, size.width], at.image(inputs)?),
        Op::UnitFromBytes => {
            let x = at.one(inputs)?;
            at.require(x.element == Element::U8 && x.dims.len() == 4, "bytes laid out NHWC", x)?;
            let [n, h, w, c] = [0, 1, 2, 3].map(|i| x.dims[i].clone());
            Ok(TensorType { element: Element::F32, dims: vec![n, c, h, w] })
        }
        Op::BytesFromUnit => {
            let x = at.image(inputs)?;
            let [n, c, h, w] = [0, 1, 2, 3].map(|i| x.dims[i].clone());
            Ok(TensorType { element: Element::U8, dims: vec![n, h, w, c] })
        }
    }
}

/// One node and what it may refer to: checks end in errors that name it.
struct Site<'a> {
    node: &'a str,
    op: &'a Op,
    params: &'a [ParamSpec],
}

impl<'a> Site<'a> {
    fn error(&self, expected: impl Into<String>, found: impl Into<String>) -> GraphError {
        GraphError::Shape {
            op: self.op.kind(),
            node: self.node.to_owned(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    fn require(&self, holds: bool, expected: impl Into<String>, found: &TensorType) -> Result<(), GraphError> {
        if holds { Ok(()) } else { Err(self.error(expected, found.to_string())) }
    }

    fn arity(&self, expected: &'static str, found: usize) -> GraphError {
        GraphError::Arity { op: self.op.kind(), node: self.node.to_owned(), expected, found }
    }

    fn one<'t>(&self, inputs: &[&'t TensorType]) -> Result<&'t TensorType, GraphError> {
        match inputs {
            [x] => Ok(x),
            _ => Err(self.arity("1", inputs.len())),
        }
    }

    /// Two inputs of floats.
    fn two<'t>(&self, inputs: &[&'t TensorType]) -> Result<[&'t TensorType; 2], GraphError> {
        let [a, b] = inputs else {
            return Err(self.arity("2", inputs.len()));
        };
        for x in [a, b] {
            self.require(x.element == Element::F32, "floats", x)?;
        }
        Ok([a, b])
    }

    /// One input of floats, any rank.
    fn floats(&self, inputs: &[&TensorType]) -> Result<TensorType, GraphError> {
        let x = self.one(inputs)?;
        self.require(x.element == Element::F32, "floats", x)?;
        Ok(x.clone())
    }

    /// One input of floats laid out NCHW.
    fn image(&self, inputs: &[&TensorType]) -> Result<TensorType, GraphError> {
        let x = self.one(inputs)?;
        self.require(x.element == Element::F32 && x.dims.len() == 4, "floats laid out NCHW", x)?;
        Ok(x.clone())
    }

    fn axis(&self, axis: usize, x: &TensorType) -> Result<(), GraphError> {
        self.require(axis < x.dims.len(), format!("an axis {axis}"), x)
    }

    /// A fixed extent.
    fn fixed(&self, axis: usize, what: &str, x: &TensorType) -> Result<usize, GraphError> {
        match x.dims.get(axis) {
            Some(Dim::Fixed(n)) => Ok(*n),
            _ => Err(self.error(format!("a fixed number of {what}"), x.to_string())),
        }
    }

    fn param(&self, id: ParamId) -> Result<&'a ParamSpec, GraphError> {
        self.params.get(id.0).ok_or_else(|| GraphError::Foreign { op: self.op.kind(), node: self.node.to_owned() })
    }

    fn param_shape(&self, id: ParamId, shape: &[usize]) -> Result<(), GraphError> {
        let p = self.param(id)?;
        if p.shape == shape {
            Ok(())
        } else {
            Err(self.error(format!("`{}` of shape {shape:?}", p.name), format!("{:?}", p.shape)))
        }
    }
}
