//! Shape inference: the one place that knows what each op demands and makes.

mod layers;
mod pixels;
mod shapes;
mod site;

use crate::error::GraphError;
use crate::op::Op;
use crate::param::ParamSpec;
use crate::tensor::{Dim, Element, TensorType};
use site::Site;

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
        Op::PRelu { slope } => at.prelu(*slope, at.image(inputs)?),
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
        Op::MeanPool { kernel, windows } => at.mean_pool(*kernel, *windows, at.image(inputs)?),
        Op::GlobalMean => {
            let mut x = at.image(inputs)?;
            x.dims[2..].fill(Dim::Fixed(1));
            Ok(x)
        }
        Op::UpsampleNearest { factor } => at.upsample(*factor, at.image(inputs)?),
        Op::ResizeBilinear { height, width } => at.resize([*height, *width], at.image(inputs)?),
        Op::ResizeLike => at.resize_like(at.two(inputs)?),
        Op::PixelShuffle { factor } => at.pixel_shuffle(*factor, at.image(inputs)?),
        Op::Crop { top, left } => at.crop([*top, *left], at.two(inputs)?),
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
