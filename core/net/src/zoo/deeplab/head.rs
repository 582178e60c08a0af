//! The pyramid of windows over the deep features, and the decoder.

use super::config::DeepLabConfig;
use super::layers::{Channels, Window, conv_norm_relu};
use crate::builder::{Builder, ConvSpec};
use crate::error::GraphError;
use crate::op::{DropUnit, Op};
use crate::tensor::Value;

/// The node of the class scores.
pub(super) const SCORES: &str = "classifier.classifier.3";

/// Convolution, normalisation and activation number `first`, `first + 1` and `first + 2` of a part.
fn layer(b: &mut Builder, part: &str, first: usize, out: usize, window: Window, x: Value) -> Result<Value, GraphError> {
    let [conv, norm, relu] = [first, first + 1, first + 2].map(|i| format!("{part}.{i}"));
    conv_norm_relu(b, [&conv, &norm, &relu], Channels::Mixed(out), window, x)
}

/// Each position by itself, through three windows of several reaches, and beside the mean of the image: joined in this order.
pub(super) fn pyramid(b: &mut Builder, config: &DeepLabConfig, deep: Value) -> Result<Value, GraphError> {
    let width = config.head_width;
    let windows = config.output_stride.dilations().map(|dilation| Window::three(1, dilation));
    let mut branches = Vec::with_capacity(5);
    for (i, window) in [Window::ONE].into_iter().chain(windows).enumerate() {
        branches.push(layer(b, &format!("classifier.aspp.convs.{i}"), 0, width, window, deep)?);
    }
    let mean = b.node("classifier.aspp.convs.4.0", Op::GlobalMean, &[deep])?;
    let mean = layer(b, "classifier.aspp.convs.4", 1, width, Window::ONE, mean)?;
    branches.push(b.node("classifier.aspp.convs.4.resized", Op::ResizeLike, &[mean, deep])?);
    let joined = b.node("classifier.aspp.joined", Op::Concat { axis: 1 }, &branches)?;
    let x = layer(b, "classifier.aspp.project", 0, width, Window::ONE, joined)?;
    match config.dropout > 0.0 {
        true => {
            let op = Op::Dropout { rate: config.dropout, unit: DropUnit::Element };
            b.node("classifier.aspp.project.3", op, &[x])
        }
        false => Ok(x),
    }
}

/// Fine features and the pyramid's, which are of one size, to class scores.
pub(super) fn scores(
    b: &mut Builder,
    config: &DeepLabConfig,
    fine: Value,
    context: Value,
) -> Result<Value, GraphError> {
    let fine = layer(b, "classifier.project", 0, config.fine_width, Window::ONE, fine)?;
    let joined = b.node("classifier.joined", Op::Concat { axis: 1 }, &[fine, context])?;
    let x = layer(b, "classifier.classifier", 0, config.head_width, Window::three(1, 1), joined)?;
    b.conv(SCORES, ConvSpec::same(config.classes, 1), x)
}
