//! SegFormer b0–b5: a hierarchical transformer for semantic segmentation (Xie et al., NeurIPS 2021).
//!
//! Four stages at 1/4, 1/8, 1/16 and 1/32 of the image. Each embeds overlapping patches by a strided convolution and runs blocks
//! of attention, whose keys and values are reduced in space, and of a feed-forward part with a depthwise convolution in its
//! middle, which stands in for position embeddings: any image size works. The decoder brings all stages to one width and to the size of
//! the first, joins them (fourth stage first) and classifies every position: class scores (logits) at a quarter of the image's
//! size, which are resampled to that of the image before the largest is taken.
//!
//! Inside, tokens stay laid out batch, height, width, channels (NHWC), so that an image of tokens costs no reshaping.
//!
//! Names are those of the original checkpoints (`backbone.block1.0.attn.q.weight`); [`names`] maps those of the hub.

pub mod names;

use crate::builder::{Bias, Builder, ConvSpec};
use crate::compose;
use crate::error::GraphError;
use crate::graph::Graph;
use crate::op::{Activation, Conv, DropUnit, Extent, LayerNorm, Linear, Op};
use crate::param::ParamRole;
use crate::tensor::{Dim, TensorType, Value};
use serde::{Deserialize, Serialize};

/// Mean of red, green and blue in [0, 1] that the published networks were trained with (123.675, 116.28 and 103.53 of 255).
pub const MEAN: [f64; 3] = [123.675 / 255.0, 116.28 / 255.0, 103.53 / 255.0];
/// Their deviation (58.395, 57.12 and 57.375 of 255).
pub const DEVIATION: [f64; 3] = [58.395 / 255.0, 57.12 / 255.0, 57.375 / 255.0];

/// Epsilon and share of a new batch of the decoder's batch normalisation.
const NORM: (f64, f64) = (1e-5, 0.1);
/// Width of the feed-forward part by that of the block.
const EXPANSION: usize = 4;

/// Most classes: a class map has bytes, of which 255 is the ignored label.
pub const MAX_CLASSES: usize = 255;
/// Largest accepted width of a stage or decoder; the largest published one is 768. Widths come from files, and a graph must fit
/// into memory.
pub const MAX_WIDTH: usize = 4096;
/// Largest accepted number of blocks of a stage; the largest published one is 40.
pub const MAX_DEPTH: usize = 256;

/// The six published sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// 3.7 M parameters.
    B0,
    /// 13.7 M.
    B1,
    /// 27 M.
    B2,
    /// 47 M.
    B3,
    /// 64 M.
    B4,
    /// 84 M.
    B5,
}

impl Variant {
    /// All sizes, smallest first.
    pub const ALL: [Variant; 6] = [Variant::B0, Variant::B1, Variant::B2, Variant::B3, Variant::B4, Variant::B5];

    /// Widths of the stages, numbers of their blocks, width of the decoder.
    fn shape(self) -> ([usize; 4], [usize; 4], usize) {
        let wide = [64, 128, 320, 512];
        match self {
            Variant::B0 => ([32, 64, 160, 256], [2, 2, 2, 2], 256),
            Variant::B1 => (wide, [2, 2, 2, 2], 256),
            Variant::B2 => (wide, [3, 4, 6, 3], 768),
            Variant::B3 => (wide, [3, 4, 18, 3], 768),
            Variant::B4 => (wide, [3, 8, 27, 3], 768),
            Variant::B5 => (wide, [3, 6, 40, 3], 768),
        }
    }
}

/// Which implementation's epsilons the layer normalisations have: weights are meant for one of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Epsilons {
    /// 1e-6 in blocks and at the end of stages, 1e-5 after patch embeddings and reductions.
    #[default]
    Original,
    /// 1e-5 everywhere.
    Hub,
}

impl Epsilons {
    /// Of the normalisations in blocks and at the end of stages.
    fn of_blocks(self) -> f64 {
        match self {
            Epsilons::Original => 1e-6,
            Epsilons::Hub => 1e-5,
        }
    }

    /// Of those after patch embeddings and reductions.
    fn of_embeddings(self) -> f64 {
        1e-5
    }
}

/// A network of this family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegFormerConfig {
    /// Channels of the four stages.
    pub widths: [usize; 4],
    /// Blocks of the four stages.
    pub depths: [usize; 4],
    /// Attention heads of the four stages; each divides its stage's width.
    #[serde(default = "published_heads")]
    pub heads: [usize; 4],
    /// Factor by which each stage reduces the sides of what keys and values are made from.
    #[serde(default = "published_reductions")]
    pub reductions: [usize; 4],
    /// Channels of the decoder.
    pub decoder_width: usize,
    /// Number of classes.
    pub classes: usize,
    /// Epsilons of the layer normalisations.
    #[serde(default)]
    pub epsilons: Epsilons,
    /// In training, the share of samples for which the last block's branches are left out; earlier blocks rise to it from 0.
    #[serde(default = "tenth")]
    pub drop_path: f64,
    /// In training, the share of channels dropped before the classifier.
    #[serde(default = "tenth")]
    pub dropout: f64,
}

fn published_heads() -> [usize; 4] {
    [1, 2, 5, 8]
}

fn published_reductions() -> [usize; 4] {
    [8, 4, 2, 1]
}

fn tenth() -> f64 {
    0.1
}

impl SegFormerConfig {
    /// A published size.
    pub fn new(variant: Variant, classes: usize) -> Self {
        let (widths, depths, decoder_width) = variant.shape();
        SegFormerConfig {
            widths,
            depths,
            heads: published_heads(),
            reductions: published_reductions(),
            decoder_width,
            classes,
            epsilons: Epsilons::Original,
            drop_path: tenth(),
            dropout: tenth(),
        }
    }

    /// The same without anything random in training.
    #[must_use]
    pub fn without_dropout(self) -> Self {
        SegFormerConfig { drop_path: 0.0, dropout: 0.0, ..self }
    }

    /// Share of samples for which each block's branches are left out, linear from 0 at the first to `drop_path` at the last.
    pub fn drop_path_rates(&self) -> Vec<f64> {
        let blocks: usize = self.depths.iter().sum();
        let steps = blocks.saturating_sub(1).max(1) as f64;
        (0..blocks).map(|i| self.drop_path * i as f64 / steps).collect()
    }

    fn check(&self) -> Result<(), GraphError> {
        let config = |what: String| Err(GraphError::Config { network: "segformer", what });
        if !(1..=MAX_CLASSES).contains(&self.classes) {
            return config(format!("expected 1 to {MAX_CLASSES} classes, found {}", self.classes));
        }
        let widths = self.widths.iter().chain([&self.decoder_width]);
        if let Some(width) = widths.copied().find(|w| !(1..=MAX_WIDTH).contains(w)) {
            return config(format!("expected widths from 1 to {MAX_WIDTH}, found {width}"));
        }
        if let Some(depth) = self.depths.iter().find(|d| !(1..=MAX_DEPTH).contains(*d)) {
            return config(format!("expected 1 to {MAX_DEPTH} blocks a stage, found {depth}"));
        }
        for (width, heads) in self.widths.iter().zip(self.heads) {
            if heads == 0 || width % heads != 0 {
                return config(format!("expected a number of heads that divides the width {width}, found {heads}"));
            }
        }
        if let Some(ratio) = self.reductions.iter().find(|r| !(1..=64).contains(*r)) {
            return config(format!("expected reductions from 1 to 64, found {ratio}"));
        }
        for (name, rate) in [("drop path", self.drop_path), ("dropout", self.dropout)] {
            if !(0.0..1.0).contains(&rate) {
                return config(format!("expected a {name} rate from 0 to below 1, found {rate:?}"));
            }
        }
        Ok(())
    }
}

/// Brings RGB in [0, 1], `[n, 3, h, w]`, to what the network was trained on: (x − mean) / deviation of each channel.
///
/// # Errors
/// When `rgb` has not three channels.
pub fn normalise(b: &mut Builder, rgb: Value) -> Result<Value, GraphError> {
    compose::standardised(b, "normalised", rgb, MEAN, DEVIATION)
}

/// Adds the network: normalised RGB `[n, 3, h, w]` (see [`normalise`]) to class scores `[n, classes, ⌈h/4⌉, ⌈w/4⌉]`. Both sides
/// have at least 29 pixels with the published reductions, so that the first stage's can be reduced.
///
/// # Errors
/// When the configuration is impossible or the shapes do not fit.
pub fn logits(b: &mut Builder, config: &SegFormerConfig, pixels: Value) -> Result<Value, GraphError> {
    config.check()?;
    let mut x = pixels;
    let mut block = 0;
    let rates = config.drop_path_rates();
    let mut stages = Vec::with_capacity(4);
    for stage in 0..4 {
        let name = |part: &str| format!("backbone.{part}{}", stage + 1);
        let (width, kernel, stride) =
            (config.widths[stage], if stage == 0 { 7 } else { 3 }, if stage == 0 { 4 } else { 2 });
        let embedding = name("patch_embed");
        let window = Window { kernel, stride, padding: kernel / 2, groups: 1 };
        x = conv(b, &format!("{embedding}.proj"), width, window, x)?;
        x = to_nhwc(b, &format!("{embedding}.tokens"), x)?;
        x = layer_norm(b, &format!("{embedding}.norm"), config.epsilons.of_embeddings(), x)?;
        for i in 0..config.depths[stage] {
            let drop = rates.get(block).copied().unwrap_or_default();
            x = self::block(b, &format!("{}.{i}", name("block")), config, stage, drop, x)?;
            block += 1;
        }
        let tokens = layer_norm(b, &name("norm"), config.epsilons.of_blocks(), x)?;
        x = to_nchw(b, &format!("stage{}", stage + 1), tokens)?;
        stages.push(tokens);
    }
    head(b, config, &stages)
}

/// Adds the class of each pixel of `like` (`[n, ·, h, w]`): scores resampled to its size, bilinear, then the largest, as bytes
/// `[n, h, w]`.
///
/// # Errors
/// When shapes do not fit.
pub fn class_map(b: &mut Builder, logits: Value, like: Value) -> Result<Value, GraphError> {
    let scores = b.node("scores", Op::ResizeLike, &[logits, like])?;
    b.node("classes", Op::ArgMax { axis: 1 }, &[scores])
}

/// The network alone: input `pixels` (`[batch, 3, height, width]`, RGB after [`normalise`]), output `logits` (class scores at a
/// quarter of the size).
///
/// # Errors
/// See [`logits`].
pub fn graph(config: &SegFormerConfig) -> Result<Graph, GraphError> {
    let mut b = Builder::new("segformer");
    let named = |name: &str| Dim::Named(name.to_owned());
    let pixels = b.input("pixels", TensorType::nchw(named("batch"), 3, named("height"), named("width")))?;
    let scores = logits(&mut b, config, pixels)?;
    b.output("logits", scores);
    Ok(b.finish())
}

/// Attention and feed-forward part, each behind a normalisation and beside a shortcut. NHWC to NHWC.
fn block(
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
fn head(b: &mut Builder, config: &SegFormerConfig, stages: &[Value]) -> Result<Value, GraphError> {
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
    let classify = ConvSpec { out: config.classes, kernel: 1, stride: 1, padding: 0, bias: Bias::Plain };
    b.conv("decode_head.linear_pred", classify, x)
}

/// A square window.
#[derive(Clone, Copy)]
struct Window {
    kernel: usize,
    stride: usize,
    padding: usize,
    groups: usize,
}

/// A convolution that starts as the original's: kernels normal with variance 2/fan-out, biases zero.
fn conv(b: &mut Builder, name: &str, out: usize, window: Window, x: Value) -> Result<Value, GraphError> {
    convolution(b, name, out, window, true, x)
}

fn conv_without_bias(b: &mut Builder, name: &str, out: usize, window: Window, x: Value) -> Result<Value, GraphError> {
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

fn linear(
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

fn layer_norm(b: &mut Builder, name: &str, eps: f64, x: Value) -> Result<Value, GraphError> {
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

fn to_nhwc(b: &mut Builder, name: &str, x: Value) -> Result<Value, GraphError> {
    b.node(name, Op::Permute { order: vec![0, 2, 3, 1] }, &[x])
}

fn to_nchw(b: &mut Builder, name: &str, x: Value) -> Result<Value, GraphError> {
    b.node(name, Op::Permute { order: vec![0, 3, 1, 2] }, &[x])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_graph_knows_every_shape_of_odd_sizes_too() {
        let config = SegFormerConfig::new(Variant::B0, 9);
        let open = graph(&config).unwrap();
        for (h, w, stages) in
            [(96, 128, ["24, 32", "12, 16", "6, 8", "3, 4"]), (90, 121, ["23, 31", "12, 16", "6, 8", "3, 4"])]
        {
            let shown =
                open.with_outputs(&["stage1", "stage2", "stage3", "stage4", "decode_head.linear_pred"]).unwrap();
            let bound = shown.bind(&[("batch", 2), ("height", h), ("width", w)]).unwrap();
            let types: Vec<String> = bound.outputs().iter().map(|o| bound.type_of(o.value).to_string()).collect();
            let mut expected: Vec<String> =
                stages.iter().zip(config.widths).map(|(hw, c)| format!("f32[2, {c}, {hw}]")).collect();
            expected.push(format!("f32[2, 9, {}]", stages[0]));
            assert_eq!(types, expected);
        }
        let error = open.bind(&[("height", 24), ("width", 64)]).unwrap_err();
        assert!(error.to_string().contains("`backbone.block1.0.attn.sr`"), "{error}");
    }

    #[test]
    fn blocks_are_left_out_ever_more_often() {
        let rates = SegFormerConfig::new(Variant::B1, 9).drop_path_rates();
        assert_eq!((rates.len(), rates[0], rates[7]), (8, 0.0, 0.1));
        assert!((rates[3] - 0.1 * 3.0 / 7.0).abs() < 1e-15);
        let drops = |config: &SegFormerConfig| {
            graph(config).unwrap().nodes().iter().filter(|n| matches!(n.op, Op::Dropout { .. })).count()
        };
        // Two branches of each block but the first, and the classifier.
        let config = SegFormerConfig::new(Variant::B1, 9);
        assert_eq!((drops(&config), drops(&config.without_dropout())), (15, 0));
    }

    #[test]
    fn impossible_configurations_are_refused() {
        let good = SegFormerConfig::new(Variant::B0, 9);
        for bad in [
            SegFormerConfig { classes: 0, ..good.clone() },
            SegFormerConfig { classes: 256, ..good.clone() },
            SegFormerConfig { widths: [32, 64, usize::MAX, 256], ..good.clone() },
            SegFormerConfig { depths: [2, 2, usize::MAX, 2], ..good.clone() },
            SegFormerConfig { heads: [1, 2, 7, 8], ..good.clone() },
            SegFormerConfig { heads: [0, 2, 5, 8], ..good.clone() },
            SegFormerConfig { reductions: [8, 0, 2, 1], ..good.clone() },
            SegFormerConfig { drop_path: f64::NAN, ..good.clone() },
            SegFormerConfig { dropout: 1.0, ..good.clone() },
        ] {
            let error = graph(&bad).unwrap_err();
            assert!(matches!(error, GraphError::Config { network: "segformer", .. }), "{error}");
        }
    }

    #[test]
    fn a_configuration_needs_no_more_than_its_sizes() {
        let text = r#"{"widths":[32,64,160,256],"depths":[2,2,2,2],"decoder_width":256,"classes":9}"#;
        let config: SegFormerConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config, SegFormerConfig::new(Variant::B0, 9));
        let again: SegFormerConfig = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }
}
