//! Shape inference: the one place that knows what each op demands and makes.

use crate::error::GraphError;
use crate::op::{Conv, Norm, Op};
use crate::param::{ParamId, ParamSpec};
use crate::tensor::{Dim, Element, TensorType};

/// Type of the result of `op`, or what is wrong with its inputs.
pub(crate) fn infer(
    node: &str,
    op: &Op,
    inputs: &[&TensorType],
    params: &[ParamSpec],
) -> Result<TensorType, GraphError> {
    let at = Site { node, op };
    match op {
        Op::Conv(conv) => at.conv(conv, inputs, params),
        Op::Norm(norm) => at.norm(norm, inputs, params),
        Op::Activation(_) | Op::Affine { .. } | Op::Clamp { .. } => {
            let x = at.one(inputs)?;
            at.require(x.element == Element::F32, "floats", x)?;
            Ok(x.clone())
        }
        Op::Concat => at.concat(inputs, 1, 4),
        Op::ConcatRows => at.concat(inputs, 1, 3),
        Op::Add => at.add(inputs),
        Op::Channels { start, len } => {
            let mut x = at.image(inputs)?;
            let channels = at.channels(&x)?;
            let end = start.checked_add(*len);
            at.require(
                *len > 0 && end.is_some_and(|e| e <= channels),
                format!("at least {start} + {len} channels"),
                &x,
            )?;
            x.dims[1] = Dim::Fixed(*len);
            Ok(x)
        }
        Op::MaxPool { kernel, stride, padding } => {
            let x = at.image(inputs)?;
            at.require(*stride > 0 && *kernel > 2 * padding, "stride > 0 and padding below half the kernel", &x)?;
            at.window(x, [*kernel; 2], [*stride; 2], [*padding; 2], [1; 2])
        }
        Op::UpsampleNearest { factor } => {
            let mut x = at.image(inputs)?;
            at.require(*factor > 0, "a factor of at least 1", &x)?;
            for dim in &mut x.dims[2..] {
                *dim = match dim {
                    Dim::Fixed(n) => Dim::Fixed(*n * factor),
                    Dim::Named(_) | Dim::Any => Dim::Any,
                };
            }
            Ok(x)
        }
        Op::ResizeBilinear { height, width } => {
            let mut x = at.image(inputs)?;
            at.require(*height > 0 && *width > 0, "a size of at least 1×1", &x)?;
            x.dims[2] = Dim::Fixed(*height);
            x.dims[3] = Dim::Fixed(*width);
            Ok(x)
        }
        Op::Pad { top, bottom, left, right, .. } => {
            let mut x = at.image(inputs)?;
            for (axis, added) in [(2, top + bottom), (3, left + right)] {
                x.dims[axis] = match &x.dims[axis] {
                    Dim::Fixed(n) => Dim::Fixed(n + added),
                    dim if added == 0 => dim.clone(),
                    Dim::Named(_) | Dim::Any => Dim::Any,
                };
            }
            Ok(x)
        }
        Op::ReflectPad { top, bottom, left, right } => {
            let mut x = at.image(inputs)?;
            for (axis, before, after) in [(2, top, bottom), (3, left, right)] {
                let reach = before.max(after);
                x.dims[axis] = match &x.dims[axis] {
                    Dim::Fixed(n) => {
                        let (n, needed) = (*n, reach + 1);
                        at.require(n >= needed, format!("extent {axis} of at least {needed} to reflect {reach}"), &x)?;
                        Dim::Fixed(n + before + after)
                    }
                    dim if *reach == 0 => dim.clone(),
                    Dim::Named(_) | Dim::Any => Dim::Any,
                };
            }
            Ok(x)
        }
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
        Op::YcbcrFromRgb | Op::RgbFromYcbcr => {
            let x = at.image(inputs)?;
            at.require(x.dims[1] == Dim::Fixed(3), "three channels", &x)?;
            Ok(x)
        }
        Op::YoloDecode(level) => {
            let x = at.image(inputs)?;
            let columns = 5 + level.classes;
            let anchors = level.anchors_px.len();
            at.require(x.dims[1] == Dim::Fixed(anchors * columns), format!("{anchors}×{columns} channels"), &x)?;
            let rows = match (&x.dims[2], &x.dims[3]) {
                (Dim::Fixed(h), Dim::Fixed(w)) => Dim::Fixed(anchors * h * w),
                _ => Dim::Any,
            };
            Ok(TensorType { element: Element::F32, dims: vec![x.dims[0].clone(), rows, Dim::Fixed(columns)] })
        }
    }
}

/// Where an error would be reported.
struct Site<'a> {
    node: &'a str,
    op: &'a Op,
}

impl Site<'_> {
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

    fn one<'t>(&self, inputs: &[&'t TensorType]) -> Result<&'t TensorType, GraphError> {
        match inputs {
            [x] => Ok(x),
            _ => Err(self.arity("1", inputs.len())),
        }
    }

    fn arity(&self, expected: &'static str, found: usize) -> GraphError {
        GraphError::Arity { op: self.op.kind(), node: self.node.to_owned(), expected, found }
    }

    fn image(&self, inputs: &[&TensorType]) -> Result<TensorType, GraphError> {
        let x = self.one(inputs)?;
        self.require(x.element == Element::F32 && x.dims.len() == 4, "floats laid out NCHW", x)?;
        Ok(x.clone())
    }

    fn channels(&self, x: &TensorType) -> Result<usize, GraphError> {
        match x.dims[1] {
            Dim::Fixed(n) => Ok(n),
            Dim::Named(_) | Dim::Any => Err(self.error("a fixed number of channels", x.to_string())),
        }
    }

    fn param<'p>(&self, params: &'p [ParamSpec], id: ParamId) -> Result<&'p ParamSpec, GraphError> {
        params.get(id.0).ok_or_else(|| GraphError::Foreign { op: self.op.kind(), node: self.node.to_owned() })
    }

    fn param_shape(&self, params: &[ParamSpec], id: ParamId, shape: &[usize]) -> Result<(), GraphError> {
        let p = self.param(params, id)?;
        if p.shape == shape {
            Ok(())
        } else {
            Err(self.error(format!("`{}` of shape {shape:?}", p.name), format!("{:?}", p.shape)))
        }
    }

    fn conv(&self, conv: &Conv, inputs: &[&TensorType], params: &[ParamSpec]) -> Result<TensorType, GraphError> {
        let x = self.image(inputs)?;
        let channels = self.channels(&x)?;
        let weight = self.param(params, conv.weight)?;
        let [out, per_group, kh, kw] = weight.shape[..] else {
            return Err(self
                .error(format!("`{}` of shape [out, in, height, width]", weight.name), format!("{:?}", weight.shape)));
        };
        let groups_fit = conv.groups > 0 && per_group * conv.groups == channels && out % conv.groups == 0;
        self.require(groups_fit, format!("{per_group}×{} channels", conv.groups), &x)?;
        self.require(conv.stride.iter().chain(&conv.dilation).all(|v| *v > 0), "stride and dilation above 0", &x)?;
        if let Some(bias) = conv.bias {
            self.param_shape(params, bias, &[out])?;
        }
        let mut y = self.window(x, [kh, kw], conv.stride, conv.padding, conv.dilation)?;
        y.dims[1] = Dim::Fixed(out);
        Ok(y)
    }

    fn norm(&self, norm: &Norm, inputs: &[&TensorType], params: &[ParamSpec]) -> Result<TensorType, GraphError> {
        let x = self.image(inputs)?;
        let channels = self.channels(&x)?;
        for id in [norm.weight, norm.bias, norm.running_mean, norm.running_var] {
            self.param_shape(params, id, &[channels])?;
        }
        self.param_shape(params, norm.batches, &[])?;
        Ok(x)
    }

    /// Extents after a sliding window: floor((n + 2p − d(k − 1) − 1) / s) + 1.
    fn window(
        &self,
        mut x: TensorType,
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        dilation: [usize; 2],
    ) -> Result<TensorType, GraphError> {
        for axis in 0..2 {
            let reach = dilation[axis] * kernel[axis].saturating_sub(1) + 1;
            let dim = &x.dims[axis + 2];
            let after = match dim {
                Dim::Fixed(n) => match (n + 2 * padding[axis]).checked_sub(reach) {
                    Some(room) => Dim::Fixed(room / stride[axis] + 1),
                    None => return Err(self.error(format!("at least {reach} padded pixels"), x.to_string())),
                },
                same if stride[axis] == 1 && 2 * padding[axis] + 1 == reach => same.clone(),
                Dim::Named(_) | Dim::Any => Dim::Any,
            };
            x.dims[axis + 2] = after;
        }
        Ok(x)
    }

    fn concat(&self, inputs: &[&TensorType], axis: usize, rank: usize) -> Result<TensorType, GraphError> {
        let Some((first, rest)) = inputs.split_first() else {
            return Err(self.arity("1 or more", 0));
        };
        let ranked = |x: &TensorType| x.element == Element::F32 && x.dims.len() == rank;
        self.require(ranked(first), format!("floats of rank {rank}"), first)?;
        let mut joined = (*first).clone();
        for x in rest {
            let fits = ranked(x) && (0..rank).all(|i| i == axis || x.dims[i].agrees(&joined.dims[i]));
            self.require(fits, format!("{first} but for extent {axis}"), x)?;
            joined.dims[axis] = match (&joined.dims[axis], &x.dims[axis]) {
                (Dim::Fixed(a), Dim::Fixed(b)) => Dim::Fixed(a + b),
                _ => Dim::Any,
            };
            for i in (0..rank).filter(|i| *i != axis) {
                if joined.dims[i] == Dim::Any {
                    joined.dims[i] = x.dims[i].clone();
                }
            }
        }
        Ok(joined)
    }

    fn add(&self, inputs: &[&TensorType]) -> Result<TensorType, GraphError> {
        let [a, b] = inputs else {
            return Err(self.arity("2", inputs.len()));
        };
        let same = a.dims.len() == b.dims.len() && a.dims.iter().zip(&b.dims).all(|(p, q)| p.agrees(q));
        self.require(same && a.element == Element::F32 && b.element == Element::F32, a.to_string(), b)?;
        Ok((*a).clone())
    }
}
