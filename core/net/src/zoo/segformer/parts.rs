//! The encoder's blocks and the decoder.

use super::config::SegFormerConfig;
use super::layers::{Window, conv, conv_without_bias, layer_norm, linear, to_nchw, to_nhwc};
use crate::builder::{Builder, ConvSpec};
use crate::error::GraphError;
use crate::op::{Activation, DropUnit, Extent, Op};
use crate::param::ParamRole;
use crate::tensor::Value;

/// Epsilon and share of a new batch of the decoder's batch normalisation.
const NORM: (f64, f64) = (1e-5, 0.1);
/// Width of the feed-forward part by that of the block.
const EXPANSION: usize = 4;

/// Attention and feed-forward part, each behind a normalisation and beside a shortcut. NHWC to NHWC.
pub(super) fn block(
    b: &mut Builder,
    name: &str,
    config: &SegFormerConfig,
    stage: usize,
    drop: f64,
    x: Value,
) -> Result<Value, GraphError> {
    let eps = config.epsilons.of_blocks();
    let beside = |b: &mut Builder, part: &str, x: Value, branch: Value| {
        let kept = match drop {
            0.0 => branch,
            rate => {
                b.node(&format!("{name}.{part}.drop_path"), Op::Dropout { rate, unit: DropUnit::Sample }, &[branch])?
            }
        };
        b.node(&format!("{name}.{part}.added"), Op::Add, &[x, kept])
    };
    let y = layer_norm(b, &format!("{name}.norm1"), eps, x)?;
    let y = attention(b, &format!("{name}.attn"), config, stage, y)?;
    let x = beside(b, "attn", x, y)?;
    let y = layer_norm(b, &format!("{name}.norm2"), eps, x)?;
    let y = feed_forward(b, &format!("{name}.mlp"), config.widths[stage], y)?;
    beside(b, "mlp", x, y)
}

/// Softmax(q·kᵀ/√d)·v for each head; keys and values come from fewer positions than queries where the stage reduces.
fn attention(
    b: &mut Builder,
    name: &str,
    config: &SegFormerConfig,
    stage: usize,
    x: Value,
) -> Result<Value, GraphError> {
    let (width, heads, ratio) = (config.widths[stage], config.heads[stage], config.reductions[stage]);
    let of_head = width / heads;
    let part = |part: &str| format!("{name}.{part}");
    let by_head = |b: &mut Builder, what: &str, order: [usize; 4], x: Value| {
        let shape = vec![Extent::Of { input: 0, axis: 0 }, Extent::Rest, Extent::Fixed(heads), Extent::Fixed(of_head)];
        let split = b.node(&format!("{name}.{what}.split"), Op::Reshape { shape }, &[x])?;
        b.node(&format!("{name}.{what}.by_head"), Op::Permute { order: order.to_vec() }, &[split])
    };

    let q = linear(b, &part("q"), width, ParamRole::LinearWeight, ParamRole::ZeroBias, x)?;
    let scale = (of_head as f64).powf(-0.5);
    let q = b.node(&part("q.scaled"), Op::Affine { scale, shift: 0.0 }, &[q])?;
    let q = by_head(b, "q", [0, 2, 1, 3], q)?;

    let mut source = x;
    if ratio > 1 {
        let image = to_nchw(b, &part("image"), x)?;
        let window = Window { kernel: ratio, stride: ratio, padding: 0, groups: 1 };
        let reduced = conv(b, &part("sr"), width, window, image)?;
        let tokens = to_nhwc(b, &part("reduced"), reduced)?;
        source = layer_norm(b, &part("norm"), config.epsilons.of_embeddings(), tokens)?;
    }
    // Rows of the keys first, then those of the values.
    let kv = linear(b, &part("kv"), 2 * width, ParamRole::LinearWeight, ParamRole::ZeroBias, source)?;
    let k = b.node(&part("k"), Op::Slice { axis: 3, start: 0, len: width }, &[kv])?;
    let k = by_head(b, "k", [0, 2, 3, 1], k)?;
    let v = b.node(&part("v"), Op::Slice { axis: 3, start: width, len: width }, &[kv])?;
    let v = by_head(b, "v", [0, 2, 1, 3], v)?;

    let scores = b.node(&part("scores"), Op::MatMul, &[q, k])?;
    let shares = b.node(&part("shares"), Op::Softmax { axis: 3 }, &[scores])?;
    let mixed = b.node(&part("mixed"), Op::MatMul, &[shares, v])?;
    let mixed = b.node(&part("mixed.by_position"), Op::Permute { order: vec![0, 2, 1, 3] }, &[mixed])?;
    let of = |axis| Extent::Of { input: 1, axis };
    let shape = vec![Extent::Of { input: 0, axis: 0 }, of(1), of(2), Extent::Fixed(width)];
    let mixed = b.node(&part("mixed.image"), Op::Reshape { shape }, &[mixed, x])?;
    linear(b, &part("proj"), width, ParamRole::LinearWeight, ParamRole::ZeroBias, mixed)
}

/// Widened, mixed with its neighbours by a depthwise convolution, narrowed again.
fn feed_forward(b: &mut Builder, name: &str, width: usize, x: Value) -> Result<Value, GraphError> {
    let wide = EXPANSION * width;
    let x = linear(b, &format!("{name}.fc1"), wide, ParamRole::LinearWeight, ParamRole::ZeroBias, x)?;
    let x = to_nchw(b, &format!("{name}.image"), x)?;
    let window = Window { kernel: 3, stride: 1, padding: 1, groups: wide };
    let x = conv(b, &format!("{name}.dwconv.dwconv"), wide, window, x)?;
    let x = to_nhwc(b, &format!("{name}.tokens"), x)?;
    let x = b.activation(&format!("{name}.gelu"), Activation::Gelu, x)?;
    linear(b, &format!("{name}.fc2"), width, ParamRole::LinearWeight, ParamRole::ZeroBias, x)
}

/// The decoder: stages' tokens (NHWC, finest first) to class scores at the size of the first.
pub(super) fn head(b: &mut Builder, config: &SegFormerConfig, stages: &[Value]) -> Result<Value, GraphError> {
    let mut planes = Vec::with_capacity(stages.len());
    let mut finest = None;
    for (i, tokens) in stages.iter().enumerate() {
        let name = format!("decode_head.linear_c{}", i + 1);
        let bias = ParamRole::ConvBias { fan_in: config.widths[i] };
        let y = linear(b, &format!("{name}.proj"), config.decoder_width, ParamRole::ConvWeight, bias, *tokens)?;
        let mut y = to_nchw(b, &format!("{name}.image"), y)?;
        match finest {
            None => finest = Some(y),
            Some(first) => y = b.node(&format!("{name}.resized"), Op::ResizeLike, &[y, first])?,
        }
        planes.push(y);
    }
    planes.reverse();
    let joined = b.node("decode_head.joined", Op::Concat { axis: 1 }, &planes)?;
    let fuse = Window { kernel: 1, stride: 1, padding: 0, groups: 1 };
    let x = conv_without_bias(b, "decode_head.linear_fuse.conv", config.decoder_width, fuse, joined)?;
    let x = b.norm("decode_head.linear_fuse.bn", NORM.0, NORM.1, x)?;
    let mut x = b.activation("decode_head.linear_fuse.relu", Activation::Relu, x)?;
    if config.dropout > 0.0 {
        let op = Op::Dropout { rate: config.dropout, unit: DropUnit::Channel };
        x = b.node("decode_head.dropout", op, &[x])?;
    }
    let classify = ConvSpec::same(config.classes, 1);
    b.conv("decode_head.linear_pred", classify, x)
}
