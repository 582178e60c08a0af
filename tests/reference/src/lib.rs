//! Every op of `caf-net` as plain loops in double precision, written from its definition, and cases for each.
//!
//! This is a third interpreter, slow and independent of both engines, which are held to it by the same cases ([`cases`]). It
//! matches `Op` without a wildcard as they do: a new op compiles only when this crate knows it too.
//!
//! Everything here stops a test by panicking.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the crate is for tests alone")]

mod array;
mod cases;
mod loops;

pub use array::{Array, noise};
pub use cases::{Case, cases};

use caf_net::{Activation, Extent, Graph, Op, ParamId};
use caf_weights::Weights;

/// The outputs of a graph in evaluation mode. Bytes are whole numbers.
pub fn run(graph: &Graph, weights: &Weights, inputs: &[Array]) -> Vec<Array> {
    let param = |id: ParamId| {
        let tensor = weights.get(&graph.param(id).name).unwrap();
        Array::new(tensor.shape().to_vec(), tensor.to_f64_vec().unwrap())
    };
    let mut values = inputs.to_vec();
    for node in graph.nodes() {
        let read: Vec<&Array> = node.inputs.iter().map(|v| &values[v.index()]).collect();
        let made = apply(&node.op, &read, &param);
        values.push(made);
    }
    graph.outputs().iter().map(|o| values[o.value.index()].clone()).collect()
}

fn apply(op: &Op, x: &[&Array], param: &dyn Fn(ParamId) -> Array) -> Array {
    match op {
        Op::Conv(conv) => loops::conv(x[0], &param(conv.weight), conv.bias.map(param).as_ref(), conv),
        Op::Norm(norm) => {
            let [scale, shift, mean, var] =
                [norm.weight, norm.bias, norm.running_mean, norm.running_var].map(|id| param(id).values);
            x[0].map_at(|at, v| {
                let c = at[1];
                (v - mean[c]) / (var[c] + norm.eps).sqrt() * scale[c] + shift[c]
            })
        }
        Op::LayerNorm(norm) => {
            let (scale, shift) = (param(norm.weight).values, param(norm.bias).values);
            loops::layer_norm(x[0], &scale, &shift, norm.eps)
        }
        Op::Linear(linear) => loops::linear(x[0], &param(linear.weight), linear.bias.map(param).as_ref()),
        Op::Activation(activation) => x[0].map(|v| activate(*activation, v)),
        Op::PRelu { slope } => {
            let slope = param(*slope).values;
            x[0].map_at(|at, v| if v > 0.0 { v } else { slope[at[1] % slope.len()] * v })
        }
        Op::Dropout { .. } => x[0].clone(),
        Op::MatMul => loops::matmul(x[0], x[1]),
        Op::Softmax { axis } => loops::softmax(x[0], *axis),
        Op::ArgMax { axis } => loops::arg_max(x[0], *axis),
        Op::Add => x[0].with(x[1], |a, b| a + b),
        Op::Sub => x[0].with(x[1], |a, b| a - b),
        Op::Mul => x[0].with(x[1], |a, b| a * b),
        Op::Affine { scale, shift } => x[0].map(|v| scale * v + shift),
        Op::Clamp { min, max } => x[0].map(|v| v.max(*min).min(*max)),
        Op::Constant { shape, values } => Array::new(shape.clone(), values.iter().map(|v| f64::from(*v)).collect()),
        Op::Indices { axis } => {
            let mut shape = vec![1; x[0].shape.len()];
            shape[*axis] = x[0].shape[*axis];
            Array::build(&shape, |at| at[*axis] as f64)
        }
        Op::Concat { axis } => loops::concat(x, *axis),
        Op::Slice { axis, start, len } => {
            let mut shape = x[0].shape.clone();
            shape[*axis] = *len;
            Array::build(&shape, |at| {
                let mut from = at.to_vec();
                from[*axis] += start;
                x[0].at(&from)
            })
        }
        Op::Reshape { shape } => {
            let extent = |e: &Extent| match *e {
                Extent::Fixed(n) => n,
                Extent::Of { input, axis } => x[input].shape[axis],
                Extent::Rest => 0,
            };
            let mut shape: Vec<usize> = shape.iter().map(extent).collect();
            let known: usize = shape.iter().filter(|n| **n > 0).product();
            shape.iter_mut().filter(|n| **n == 0).for_each(|n| *n = x[0].values.len() / known);
            Array::new(shape, x[0].values.clone())
        }
        Op::Permute { order } => {
            let shape: Vec<usize> = order.iter().map(|axis| x[0].shape[*axis]).collect();
            Array::build(&shape, |at| {
                let mut from = vec![0; at.len()];
                order.iter().zip(at).for_each(|(axis, i)| from[*axis] = *i);
                x[0].at(&from)
            })
        }
        Op::MaxPool { kernel, stride, padding } => loops::max_pool(x[0], *kernel, *stride, *padding),
        Op::MeanPool { kernel, windows } => loops::mean_pool(x[0], *kernel, *windows),
        Op::GlobalMean => {
            let [n, c, h, w] = x[0].nchw();
            let pixels = || (0..h).flat_map(|y| (0..w).map(move |x| (y, x)));
            Array::build(&[n, c, 1, 1], |at| {
                pixels().map(|(row, column)| x[0].at(&[at[0], at[1], row, column])).sum::<f64>() / (h * w) as f64
            })
        }
        Op::UpsampleNearest { factor } => {
            let [n, c, h, w] = x[0].nchw();
            Array::build(&[n, c, h * factor, w * factor], |at| x[0].at(&[at[0], at[1], at[2] / factor, at[3] / factor]))
        }
        Op::ResizeBilinear { height, width } => loops::resize(x[0], *height, *width),
        Op::ResizeLike => loops::resize(x[0], x[1].shape[2], x[1].shape[3]),
        Op::PixelShuffle { factor } => {
            let ([n, c, h, w], f) = (x[0].nchw(), *factor);
            Array::build(&[n, c / (f * f), h * f, w * f], |at| {
                x[0].at(&[at[0], (at[1] * f + at[2] % f) * f + at[3] % f, at[2] / f, at[3] / f])
            })
        }
        Op::Crop { top, left } => {
            let [n, c, ..] = x[0].nchw();
            let [.., h, w] = x[1].nchw();
            Array::build(&[n, c, h, w], |at| x[0].at(&[at[0], at[1], at[2] + top, at[3] + left]))
        }
        Op::Pad { top, bottom, left, right, value } => loops::pad(x[0], [*top, *bottom, *left, *right], *value),
        Op::ReflectPad { top, bottom, left, right } => {
            let [n, c, h, w] = x[0].nchw();
            let mirror = |at: usize, before: usize, side: usize| {
                let at = at.abs_diff(before);
                if at < side { at } else { 2 * (side - 1) - at }
            };
            Array::build(&[n, c, h + top + bottom, w + left + right], |at| {
                // Before the first pixel the distance to it is what counts.
                x[0].at(&[at[0], at[1], mirror(at[2], *top, h), mirror(at[3], *left, w)])
            })
        }
        Op::Letterbox { size, value } => loops::letterbox(x[0], size.width, size.height, *value),
        Op::UnitFromBytes => {
            let [n, h, w, c] = x[0].nchw();
            Array::build(&[n, c, h, w], |at| x[0].at(&[at[0], at[2], at[3], at[1]]) / 255.0)
        }
        Op::BytesFromUnit => {
            let [n, c, h, w] = x[0].nchw();
            Array::build(&[n, h, w, c], |at| {
                (x[0].at(&[at[0], at[3], at[1], at[2]]).clamp(0.0, 1.0) * 255.0).round_ties_even()
            })
        }
    }
}

fn activate(activation: Activation, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Silu => x * sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
        Activation::LeakyRelu { slope } => {
            if x > 0.0 {
                x
            } else {
                slope * x
            }
        }
        Activation::Gelu => x * (1.0 + loops::erf(x / std::f64::consts::SQRT_2)) / 2.0,
    }
}
