//! Layers with the original's initial values, on tokens laid out NHWC or images laid out NCHW.

use crate::builder::Builder;
use crate::error::GraphError;
use crate::op::{Conv, LayerNorm, Linear, Op};
use crate::param::ParamRole;
use crate::tensor::{Dim, Value};

/// A square window.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) groups: usize,
}

/// A convolution that starts as the original's: kernels normal with variance 2/fan-out, biases zero.
pub(super) fn conv(b: &mut Builder, name: &str, out: usize, window: Window, x: Value) -> Result<Value, GraphError> {
    convolution(b, name, out, window, true, x)
}

pub(super) fn conv_without_bias(
    b: &mut Builder,
    name: &str,
    out: usize,
    window: Window,
    x: Value,
) -> Result<Value, GraphError> {
    convolution(b, name, out, window, false, x)
}

fn convolution(
    b: &mut Builder,
    name: &str,
    out: usize,
    Window { kernel, stride, padding, groups }: Window,
    bias: bool,
    x: Value,
) -> Result<Value, GraphError> {
    let per_group = features(b, name, 1, x)? / groups;
    let fan_out = out * kernel * kernel / groups;
    let shape = [out, per_group, kernel, kernel];
    let weight = b.param(&format!("{name}.weight"), &shape, ParamRole::FanOutWeight { fan_out })?;
    let bias = match bias {
        true => Some(b.param(&format!("{name}.bias"), &[out], ParamRole::ZeroBias)?),
        false => None,
    };
    let conv = Conv { weight, bias, stride: [stride; 2], padding: [padding; 2], dilation: [1; 2], groups };
    b.node(name, Op::Conv(conv), &[x])
}

pub(super) fn linear(
    b: &mut Builder,
    name: &str,
    out: usize,
    weight: ParamRole,
    bias: ParamRole,
    x: Value,
) -> Result<Value, GraphError> {
    let taken = features(b, name, 3, x)?;
    let weight = b.param(&format!("{name}.weight"), &[out, taken], weight)?;
    let bias = b.param(&format!("{name}.bias"), &[out], bias)?;
    b.node(name, Op::Linear(Linear { weight, bias: Some(bias) }), &[x])
}

pub(super) fn layer_norm(b: &mut Builder, name: &str, eps: f64, x: Value) -> Result<Value, GraphError> {
    let width = features(b, name, 3, x)?;
    let weight = b.param(&format!("{name}.weight"), &[width], ParamRole::NormWeight)?;
    let bias = b.param(&format!("{name}.bias"), &[width], ParamRole::NormBias)?;
    b.node(name, Op::LayerNorm(LayerNorm { weight, bias, eps }), &[x])
}

/// The fixed extent of an axis.
fn features(b: &Builder, name: &str, axis: usize, x: Value) -> Result<usize, GraphError> {
    match b.type_of(x).dims.get(axis) {
        Some(Dim::Fixed(n)) => Ok(*n),
        _ => Err(GraphError::Config {
            network: "segformer",
            what: format!("`{name}` needs an input with a fixed extent {axis}, found {}", b.type_of(x)),
        }),
    }
}

pub(super) fn to_nhwc(b: &mut Builder, name: &str, x: Value) -> Result<Value, GraphError> {
    b.node(name, Op::Permute { order: vec![0, 2, 3, 1] }, &[x])
}

pub(super) fn to_nchw(b: &mut Builder, name: &str, x: Value) -> Result<Value, GraphError> {
    b.node(name, Op::Permute { order: vec![0, 3, 1, 2] }, &[x])
}
