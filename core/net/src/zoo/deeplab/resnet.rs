//! ResNet of bottlenecks, as published with the stride on the 3×3 convolution.

use super::config::{OutputStride, ResNet};
use super::layers::{Channels, Window, conv_norm, conv_norm_relu};
use super::{Features, names};
use crate::builder::Builder;
use crate::error::GraphError;
use crate::op::{Activation, Op};
use crate::tensor::Value;
use crate::zoo::network::Tensors;

/// How many times a block's own channels it gives on.
const EXPANSION: usize = 4;

pub(super) fn features(
    b: &mut Builder,
    net: &ResNet,
    output_stride: OutputStride,
    pixels: Value,
) -> Result<Features, GraphError> {
    let name = names::in_backbone;
    let window = Window { kernel: 7, stride: 2, padding: 3, dilation: 1 };
    let stem = [&*name("conv1"), &*name("bn1"), &*name("relu1")];
    let x = conv_norm_relu(b, stem, Channels::Mixed(net.width), window, pixels)?;
    let mut x = b.node(&name("maxpool"), Op::MaxPool { kernel: 3, stride: 2, padding: 1 }, &[x])?;
    let (mut stride, mut dilation, mut fine) = (4, 1, x);
    for (stage, blocks) in net.blocks.into_iter().enumerate() {
        // What would shrink the image below the output stride makes windows reach as much further instead, from the second block on.
        let own_stride = if stage == 0 { 1 } else { 2 };
        let mut window = Window::three(1, dilation);
        if stride == output_stride.px() {
            dilation *= own_stride;
        } else {
            window.stride = own_stride;
            stride *= own_stride;
        }
        for i in 0..blocks {
            x = block(b, &name(&format!("layer{}.{i}", stage + 1)), net.width << stage, window, i == 0, x)?;
            window = Window::three(1, dilation);
        }
        if stage == 0 {
            fine = x;
        }
    }
    Ok(Features { fine, deep: x })
}

/// A bottleneck beside a shortcut, which the first block of a stage brings to its own channels and size.
fn block(
    b: &mut Builder,
    name: &str,
    width: usize,
    window: Window,
    first: bool,
    x: Value,
) -> Result<Value, GraphError> {
    let part = |part: &str| format!("{name}.{part}");
    let y = conv_norm_relu(b, [&part("conv1"), &part("bn1"), &part("relu1")], Channels::Mixed(width), Window::ONE, x)?;
    let y = conv_norm_relu(b, [&part("conv2"), &part("bn2"), &part("relu2")], Channels::Mixed(width), window, y)?;
    let out = Channels::Mixed(width * EXPANSION);
    let y = conv_norm(b, [&part("conv3"), &part("bn3")], out, Window::ONE, y)?;
    let mut beside = x;
    if first {
        let shrinking = Window { stride: window.stride, ..Window::ONE };
        beside = conv_norm(b, [&part("downsample.0"), &part("downsample.1")], out, shrinking, x)?;
    }
    let sum = b.node(&part("added"), Op::Add, &[y, beside])?;
    b.activation(&part("relu3"), Activation::Relu, sum)
}

/// Sizes from the tensors.
pub(super) fn recognise(tensors: &dyn Tensors) -> Option<ResNet> {
    let width = tensors.outputs(&names::in_backbone("conv1.weight"))?;
    let mut blocks = [0; 4];
    for (stage, blocks) in blocks.iter_mut().enumerate() {
        let before = names::in_backbone(&format!("layer{}.", stage + 1));
        *blocks = Some(tensors.count(&before, 0, ".conv3.weight")).filter(|n| *n > 0)?;
    }
    Some(ResNet { width, blocks })
}
