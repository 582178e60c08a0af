//! Convolutions with what follows them.

use crate::builder::Builder;
use crate::error::GraphError;
use crate::op::{Activation, Conv, Op};
use crate::param::ParamRole;
use crate::tensor::Value;

/// Added to every variance.
const EPS: f64 = 1e-5;
/// Share of a new batch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// A square window.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) dilation: usize,
}

impl Window {
    /// Every pixel by itself.
    pub(super) const ONE: Window = Window { kernel: 1, stride: 1, padding: 0, dilation: 1 };

    /// Three by three that gives as many pixels as it gets, or by a stride fewer.
    pub(super) fn three(stride: usize, dilation: usize) -> Self {
        Window { kernel: 3, stride, padding: dilation, dilation }
    }

    /// The same where the border was added before.
    pub(super) fn bare(self) -> Self {
        Window { padding: 0, ..self }
    }
}

/// What becomes of a convolution's channels.
#[derive(Clone, Copy)]
pub(super) enum Channels {
    /// All inputs give so many outputs.
    Mixed(usize),
    /// Each stays by itself.
    Apart,
}

/// A convolution without bias, `conv`, and its normalisation, `norm`.
pub(super) fn conv_norm(
    b: &mut Builder,
    [conv, norm]: [&str; 2],
    channels: Channels,
    window: Window,
    x: Value,
) -> Result<Value, GraphError> {
    let taken = b.channels(conv, x)?;
    let (out, groups) = match channels {
        Channels::Mixed(out) => (out, 1),
        Channels::Apart => (taken, taken),
    };
    let Window { kernel, stride, padding, dilation } = window;
    let role = ParamRole::FanOutWeight { fan_out: out / groups * kernel * kernel };
    let weight = b.param(&format!("{conv}.weight"), &[out, taken / groups, kernel, kernel], role)?;
    let op = Conv { weight, bias: None, stride: [stride; 2], padding: [padding; 2], dilation: [dilation; 2], groups };
    let x = b.node(conv, Op::Conv(op), &[x])?;
    b.norm(norm, EPS, MOMENTUM, x)
}

/// The same, cut at zero: `conv`, `norm` and, as the node's name, `relu`.
pub(super) fn conv_norm_relu(
    b: &mut Builder,
    [conv, norm, relu]: [&str; 3],
    channels: Channels,
    window: Window,
    x: Value,
) -> Result<Value, GraphError> {
    let x = conv_norm(b, [conv, norm], channels, window, x)?;
    b.activation(relu, Activation::Relu, x)
}
