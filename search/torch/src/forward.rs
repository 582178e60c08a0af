//! The interpreter.

use crate::error::TorchError;
use crate::params::Params;
use caf_net::{Activation, Conv, Graph, Node, Norm, Op, YoloLevel};
use tch::{Kind, TchError, Tensor};

/// How normalisations behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Running statistics.
    Eval,
    /// Statistics of the batch; running statistics neither used nor changed. For evaluations that must leave no trace, such as
    /// those of the β step.
    BatchStatistics,
    /// Statistics of the batch; running statistics move in place.
    Train,
}

/// Runs a graph.
///
/// `inputs` are in the order of [`Graph::inputs`], the result in that of [`Graph::outputs`]. Element types and layouts are those
/// of the graph; float inputs have the kind of the parameters. Intermediate tensors are dropped after their last use (autograd
/// keeps what it needs).
///
/// # Errors
/// When inputs or parameters are of another number, a normalisation by the batch's statistics sees a single value a channel, or
/// libtorch refuses an op; the message names the node.
pub fn forward(graph: &Graph, params: &Params, inputs: &[&Tensor], mode: Mode) -> Result<Vec<Tensor>, TorchError> {
    if inputs.len() != graph.inputs().len() {
        return Err(TorchError::Inputs {
            graph: graph.name().to_owned(),
            expected: graph.inputs().len(),
            found: inputs.len(),
        });
    }
    params.require_graph(graph)?;
    let mut left = vec![0usize; graph.value_count()];
    for value in graph.nodes().iter().flat_map(|n| &n.inputs).chain(graph.outputs().iter().map(|o| &o.value)) {
        left[value.index()] += 1;
    }
    let mut values: Vec<Option<Tensor>> = Vec::with_capacity(graph.value_count());
    values.extend(inputs.iter().map(|x| Some(x.shallow_clone())));
    for node in graph.nodes() {
        let error = |source| TorchError::Op { op: node.op.kind(), node: node.name.clone(), source };
        let read: Vec<Tensor> =
            node.inputs.iter().filter_map(|v| values[v.index()].as_ref().map(Tensor::shallow_clone)).collect();
        for value in &node.inputs {
            left[value.index()] -= 1;
            if left[value.index()] == 0 {
                values[value.index()] = None;
            }
        }
        require_statistics(node, &read, mode)?;
        values.push(Some(apply(&node.op, params, &read, mode).map_err(error)?));
    }
    graph
        .outputs()
        .iter()
        .map(|output| {
            values[output.value.index()].as_ref().map(Tensor::shallow_clone).ok_or_else(|| TorchError::Op {
                op: "output",
                node: output.name.clone(),
                source: TchError::Shape("the value was released too early".to_owned()),
            })
        })
        .collect()
}

/// The same tensor with channels innermost in memory. Convolutions on the CPU and on tensor cores run faster so, and keep it.
pub fn channels_last(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

fn apply(op: &Op, params: &Params, inputs: &[Tensor], mode: Mode) -> Result<Tensor, TchError> {
    let first = || inputs.first().ok_or_else(|| TchError::Shape("no input".to_owned()));
    match op {
        Op::Conv(conv) => apply_conv(conv, params, first()?),
        Op::Norm(norm) => apply_norm(norm, params, first()?, mode),
        Op::Activation(Activation::Relu) => first()?.f_relu(),
        Op::Activation(Activation::Silu) => first()?.f_silu(),
        Op::Activation(Activation::Tanh) => first()?.f_tanh(),
        Op::Activation(Activation::Sigmoid) => first()?.f_sigmoid(),
        Op::Activation(Activation::LeakyRelu { slope }) => leaky_relu(first()?, *slope),
        Op::Concat | Op::ConcatRows => Tensor::f_cat(inputs, 1),
        Op::Add => match inputs {
            [a, b] => a.f_add(b),
            _ => Err(TchError::Shape("two inputs expected".to_owned())),
        },
        Op::Channels { start, len } => first()?.f_narrow(1, *start as i64, *len as i64),
        Op::MaxPool { kernel, stride, padding } => {
            let [kernel, stride, padding] = [*kernel, *stride, *padding].map(|v| [v as i64; 2]);
            first()?.f_max_pool2d(kernel, stride, padding, [1, 1], false)
        }
        Op::UpsampleNearest { factor } => {
            let x = first()?;
            let (_, _, h, w) = x.size4()?;
            x.f_upsample_nearest2d([h * *factor as i64, w * *factor as i64], None, None)
        }
        Op::ResizeBilinear { height, width } => {
            first()?.f_upsample_bilinear2d([*height as i64, *width as i64], false, None, None)
        }
        Op::Pad { top, bottom, left, right, value } => {
            first()?.f_pad([*left, *right, *top, *bottom].map(|v| v as i64), "constant", *value)
        }
        Op::ReflectPad { top, bottom, left, right } => {
            first()?.f_reflection_pad2d([*left, *right, *top, *bottom].map(|v| v as i64))
        }
        Op::Affine { scale, shift } => affine(first()?, *scale, *shift),
        Op::Clamp { min, max } => first()?.f_clamp(*min, *max),
        Op::UnitFromBytes => first()?.f_permute([0, 3, 1, 2])?.f_to_kind(params.kind())?.f_div_scalar(255.0),
        Op::BytesFromUnit => first()?
            .f_clamp(0.0, 1.0)?
            .f_mul_scalar(255.0)?
            .f_round()?
            .f_to_kind(Kind::Uint8)?
            .f_permute([0, 2, 3, 1])?
            .f_contiguous(),
        Op::YcbcrFromRgb => ycbcr_from_rgb(first()?),
        Op::RgbFromYcbcr => rgb_from_ycbcr(first()?),
        Op::YoloDecode(level) => yolo_decode(level, first()?),
    }
}

/// Written with the two parts, as the binding's own function has no slope.
fn leaky_relu(x: &Tensor, slope: f64) -> Result<Tensor, TchError> {
    x.f_relu()?.f_add(&x.f_clamp_max(0.0)?.f_mul_scalar(slope)?)
}

fn affine(x: &Tensor, scale: f64, shift: f64) -> Result<Tensor, TchError> {
    let y = if scale == 1.0 { x.shallow_clone() } else { x.f_mul_scalar(scale)? };
    if shift == 0.0 { Ok(y) } else { y.f_add_scalar(shift) }
}

fn apply_conv(conv: &Conv, params: &Params, x: &Tensor) -> Result<Tensor, TchError> {
    let wide = |v: [usize; 2]| v.map(|n| n as i64);
    let bias = conv.bias.map(|id| params.get(id));
    let (stride, padding, dilation) = (wide(conv.stride), wide(conv.padding), wide(conv.dilation));
    if x.device() == tch::Device::Cpu && x.size().get(1).is_some_and(|c| *c > 1) {
        let x = channels_last(x)?;
        return x.f_conv2d(params.get(conv.weight), bias, stride, padding, dilation, conv.groups as i64);
    }
    x.f_conv2d(params.get(conv.weight), bias, stride, padding, dilation, conv.groups as i64)
}

/// One value has no variance: the running one would become 0 · 1/0, which is no number.
fn require_statistics(node: &Node, inputs: &[Tensor], mode: Mode) -> Result<(), TorchError> {
    let (Op::Norm(_), Mode::BatchStatistics | Mode::Train, Some(x)) = (&node.op, mode, inputs.first()) else {
        return Ok(());
    };
    let shape = x.size();
    let values: i64 = shape.iter().enumerate().filter(|(axis, _)| *axis != 1).map(|(_, extent)| extent).product();
    if values > 1 { Ok(()) } else { Err(TorchError::Statistics { node: node.name.clone(), shape }) }
}

fn apply_norm(norm: &Norm, params: &Params, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
    let [weight, bias, mean, var] =
        [norm.weight, norm.bias, norm.running_mean, norm.running_var].map(|id| params.get(id));
    let statistics = match mode {
        Mode::Eval | Mode::Train => (Some(mean), Some(var)),
        Mode::BatchStatistics => (None, None),
    };
    if mode == Mode::Train {
        // The handle is shared, so the count moves in place.
        let _ = params.get(norm.batches).shallow_clone().f_add_scalar_(1)?;
    }
    let from_batch = mode != Mode::Eval;
    x.f_batch_norm(Some(weight), Some(bias), statistics.0, statistics.1, from_batch, norm.momentum, norm.eps, true)
}

/// BT.601, full range; the luma's order of operations is the one the published network was fed with.
fn ycbcr_from_rgb(x: &Tensor) -> Result<Tensor, TchError> {
    let (r, g, b) = (x.f_narrow(1, 0, 1)?, x.f_narrow(1, 1, 1)?, x.f_narrow(1, 2, 1)?);
    let luma = r.f_mul_scalar(0.299)?.f_add(&g.f_mul_scalar(0.587)?)?.f_add(&b.f_mul_scalar(0.114)?)?;
    let cb = b.f_sub(&luma)?.f_div_scalar(1.772)?.f_add_scalar(0.5)?;
    let cr = r.f_sub(&luma)?.f_div_scalar(1.402)?.f_add_scalar(0.5)?;
    Tensor::f_cat(&[luma, cb, cr], 1)
}

fn rgb_from_ycbcr(x: &Tensor) -> Result<Tensor, TchError> {
    let luma = x.f_narrow(1, 0, 1)?;
    let blue = x.f_narrow(1, 1, 1)?.f_sub_scalar(0.5)?.f_mul_scalar(1.772)?;
    let red = x.f_narrow(1, 2, 1)?.f_sub_scalar(0.5)?.f_mul_scalar(1.402)?;
    let (r, b) = (luma.f_add(&red)?, luma.f_add(&blue)?);
    // From Y = 0.299 R + 0.587 G + 0.114 B.
    let g = luma.f_sub(&red.f_mul_scalar(0.299 / 0.587)?)?.f_sub(&blue.f_mul_scalar(0.114 / 0.587)?)?;
    Tensor::f_cat(&[r, g, b], 1)
}

/// xy = (2σ − 0.5 + cell)·stride, wh = (2σ)²·anchor, the rest σ.
fn yolo_decode(level: &YoloLevel, head: &Tensor) -> Result<Tensor, TchError> {
    let (n, _, ny, nx) = head.size4()?;
    let (anchors, columns) = (level.anchors_px.len() as i64, 5 + level.classes as i64);
    let options = (head.kind(), head.device());
    let s = head.f_reshape([n, anchors, columns, ny, nx])?.f_permute([0, 1, 3, 4, 2])?.f_sigmoid()?;
    let rows = Tensor::f_arange(ny, options)?.f_view([1, 1, ny, 1, 1])?.f_expand([1, 1, ny, nx, 1], false)?;
    let cols = Tensor::f_arange(nx, options)?.f_view([1, 1, 1, nx, 1])?.f_expand([1, 1, ny, nx, 1], false)?;
    let cell = Tensor::f_cat(&[cols, rows], 4)?;
    let flat: Vec<f64> = level.anchors_px.iter().flatten().copied().collect();
    let anchor = Tensor::f_from_slice(&flat)?.f_to_kind(head.kind())?.f_to_device(head.device())?;
    let anchor = anchor.f_view([1, anchors, 1, 1, 2])?;
    let xy =
        s.f_narrow(4, 0, 2)?.f_mul_scalar(2.0)?.f_sub_scalar(0.5)?.f_add(&cell)?.f_mul_scalar(level.stride as f64)?;
    let wh = s.f_narrow(4, 2, 2)?.f_mul_scalar(2.0)?.f_square()?.f_mul(&anchor)?;
    let rest = s.f_narrow(4, 4, columns - 4)?;
    Tensor::f_cat(&[xy, wh, rest], 4)?.f_reshape([n, anchors * ny * nx, columns])
}
