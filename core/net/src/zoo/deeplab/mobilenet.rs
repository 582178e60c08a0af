//! MobileNetV2 as the common Cityscapes checkpoints have it, which is not the usual one: a block adds its border, of zeros and as wide as its
//! dilation, to its *input*, so that the depthwise convolution sees at the border what the widening makes of zeros, and not zeros; the first
//! convolution has no border at all. The same weights give other features in the usual network, of another size at some sizes of images.

use super::config::{MobileNet, OutputStride};
use super::layers::{Channels, Window, conv_norm};
use super::{Features, names};
use crate::builder::Builder;
use crate::error::GraphError;
use crate::op::Op;
use crate::tensor::Value;
use crate::zoo::network::Tensors;

/// Strides of the seven groups.
const STRIDES: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];
/// Groups up to the fine features.
const FINE_GROUPS: usize = 2;
/// Largest result of an activation.
const MOST: f64 = 6.0;

pub(super) fn features(
    b: &mut Builder,
    net: &MobileNet,
    output_stride: OutputStride,
    pixels: Value,
) -> Result<Features, GraphError> {
    let first = Window::three(2, 1).bare();
    let mut x = cut(b, &names::fine(0), Channels::Mixed(net.stem), first, pixels)?;
    let (mut stride, mut dilation, mut index) = (first.stride, 1, 1);
    let mut fine = x;
    for (group, ((width, blocks), own_stride)) in net.widths.iter().zip(net.blocks).zip(STRIDES).enumerate() {
        // What would shrink the image below the output stride makes windows reach as much further instead, from the second block on.
        let mut window = Window::three(1, dilation);
        if stride == output_stride.px() {
            dilation *= own_stride;
        } else {
            window.stride = own_stride;
            stride *= own_stride;
        }
        let expansion = if group == 0 { 1 } else { net.expansion };
        for _ in 0..blocks {
            let name = if group < FINE_GROUPS { names::fine(index) } else { names::deep(index) };
            x = block(b, &name, *width, expansion, window, x)?;
            window = Window::three(1, dilation);
            index += 1;
        }
        if group + 1 == FINE_GROUPS {
            fine = x;
        }
    }
    Ok(Features { fine, deep: x })
}

/// An inverted residual: widened, each channel by itself through the window, narrowed; beside a shortcut where the sizes agree.
fn block(
    b: &mut Builder,
    name: &str,
    width: usize,
    expansion: usize,
    window: Window,
    x: Value,
) -> Result<Value, GraphError> {
    let taken = b.channels(name, x)?;
    let border = window.padding;
    let pad = Op::Pad { top: border, bottom: border, left: border, right: border, value: 0.0 };
    let mut y = b.node(&format!("{name}.padded"), pad, &[x])?;
    let part = |i: usize| format!("{name}.conv.{i}");
    let mut next = 0;
    if expansion > 1 {
        y = cut(b, &part(next), Channels::Mixed(taken * expansion), Window::ONE, y)?;
        next += 1;
    }
    y = cut(b, &part(next), Channels::Apart, window.bare(), y)?;
    y = conv_norm(b, [&part(next + 1), &part(next + 2)], Channels::Mixed(width), Window::ONE, y)?;
    match window.stride == 1 && taken == width {
        true => b.node(&format!("{name}.added"), Op::Add, &[x, y]),
        false => Ok(y),
    }
}

/// A convolution, its normalisation, and their results limited to 0 … 6.
fn cut(b: &mut Builder, name: &str, channels: Channels, window: Window, x: Value) -> Result<Value, GraphError> {
    let x = conv_norm(b, [&format!("{name}.0"), &format!("{name}.1")], channels, window, x)?;
    b.node(&format!("{name}.2"), Op::Clamp { min: 0.0, max: MOST }, &[x])
}

/// Sizes from the tensors. The first group is the blocks that do not widen, the second what else is among the fine features; the others are
/// told apart by their widths, so that no two that follow each other may have one.
pub(super) fn recognise(tensors: &dyn Tensors) -> Option<MobileNet> {
    let stem = tensors.outputs(&format!("{}.0.weight", names::fine(0)))?;
    let (mut groups, mut expansion): (Vec<(usize, usize)>, _) = (Vec::new(), None);
    for index in 1.. {
        let both = [(true, names::fine(index)), (false, names::deep(index))];
        let found = both.into_iter().find(|(_, name)| tensors.has(&format!("{name}.conv.0.0.weight")));
        let Some((is_fine, name)) = found else { break };
        let widens = tensors.has(&format!("{name}.conv.3.weight"));
        let width = tensors.outputs(&format!("{name}.conv.{}.weight", if widens { 2 } else { 1 }))?;
        if widens && expansion.is_none() {
            let shape = tensors.shape(&format!("{name}.conv.0.0.weight"))?;
            expansion = Some(shape.first()?.checked_div(*shape.get(1)?)?);
        }
        let starts = match (widens, is_fine) {
            (false, _) => groups.is_empty(),
            (true, true) => groups.len() < FINE_GROUPS,
            (true, false) => groups.len() <= FINE_GROUPS || groups.last().is_some_and(|(last, _)| *last != width),
        };
        match groups.last_mut() {
            Some((last, blocks)) if !starts => {
                if *last != width {
                    return None;
                }
                *blocks += 1;
            }
            _ => groups.push((width, 1)),
        }
    }
    let groups: [(usize, usize); 7] = groups.try_into().ok()?;
    Some(MobileNet {
        stem,
        widths: groups.map(|(width, _)| width),
        blocks: groups.map(|(_, blocks)| blocks),
        expansion: expansion?,
    })
}
