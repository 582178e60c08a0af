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

mod config;
mod layers;
pub mod names;
mod parts;

pub use config::{Epsilons, MAX_CLASSES, MAX_DEPTH, MAX_WIDTH, SegFormerConfig, Variant};

use crate::builder::Builder;
use crate::compose;
use crate::error::GraphError;
use crate::graph::Graph;
use crate::op::Op;
use crate::tensor::{Dim, TensorType, Value};
use crate::zoo::network::{Facts, Found, Network, PlaceOf, Sides, Tensors};
use crate::zoo::task::TaskNetwork;
use caf_contract::{SEGMENTATION, Task};
use layers::{Window, conv, layer_norm, to_nchw, to_nhwc};

/// Mean of red, green and blue in [0, 1] that the published networks were trained with (123.675, 116.28 and 103.53 of 255).
pub const MEAN: [f64; 3] = [123.675 / 255.0, 116.28 / 255.0, 103.53 / 255.0];
/// Their deviation (58.395, 57.12 and 57.375 of 255).
pub const DEVIATION: [f64; 3] = [58.395 / 255.0, 57.12 / 255.0, 57.375 / 255.0];

impl Network for SegFormerConfig {
    const KIND: &'static str = "segformer";
    const FACTS: Facts = Facts {
        title: "SegFormer",
        paper: "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers, NeurIPS 2021",
        licence: "NVIDIA Source Code License for SegFormer (not for commercial use)",
        parity: "logits within 2e-4 and gradients within 1e-3 of both common implementations (float32); evaluation on libtorch and \
                 ONNX Runtime, training on libtorch",
    };

    /// Widths and reductions from kernels, depths from the blocks there are. Heads and epsilons leave no trace in a file: those
    /// published, and the original's.
    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>> {
        let [mut widths, mut depths, mut reductions] = [[0; 4]; 3];
        for stage in 0..4 {
            let block = format!("backbone.block{}.", stage + 1);
            widths[stage] = tensors.outputs(&format!("backbone.patch_embed{}.proj.weight", stage + 1))?;
            depths[stage] = Some(tensors.count(&block, 0, ".norm1.weight")).filter(|n| *n > 0)?;
            let reduction = tensors.shape(&format!("{block}0.attn.sr.weight"));
            reductions[stage] = reduction.map_or(Some(1), |shape| shape.get(2).copied())?;
        }
        let decoder_width = tensors.outputs("decode_head.linear_fuse.conv.weight")?;
        let classes = tensors.outputs("decode_head.linear_pred.weight")?;
        let published = SegFormerConfig::new(Variant::B0, classes);
        Some(Found::new(SegFormerConfig { widths, depths, reductions, decoder_width, ..published }))
    }

    /// The original's names are the graph's but for a tensor that nothing uses; the hub's are others.
    fn published_names(tensors: &dyn Tensors) -> Option<PlaceOf> {
        let first = ["backbone.patch_embed1.proj.weight", "segformer.encoder.patch_embeddings.0.proj.weight"];
        first.iter().any(|name| tensors.has(name)).then_some(names::place as PlaceOf)
    }
}

impl TaskNetwork for SegFormerConfig {
    fn task(&self) -> &'static Task {
        &SEGMENTATION
    }

    fn classes(&self) -> usize {
        self.classes
    }

    /// Those whose stages are large enough to be reduced: stage i, a 2^(i + 2)th of the image rounded up, by its reduction.
    fn sides(&self) -> Sides {
        let least =
            self.reductions.iter().enumerate().map(|(i, reduction)| (reduction.saturating_sub(1) << (i + 2)) + 1);
        Sides { least_px: least.max().unwrap_or(1), ..Sides::ANY }
    }

    /// The class scores at a quarter of the size.
    fn raw(&self) -> &'static [&'static str] {
        &["decode_head.linear_pred"]
    }

    /// Bytes `[n, h, w]` (see [`class_map`]): the image is normalised and seen at its own size.
    fn build(&self, b: &mut Builder, image: Value) -> Result<Value, GraphError> {
        let pixels = normalise(b, image)?;
        let scores = logits(b, self, pixels)?;
        class_map(b, scores, image)
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
            x = parts::block(b, &format!("{}.{i}", name("block")), config, stage, drop, x)?;
            block += 1;
        }
        let tokens = layer_norm(b, &name("norm"), config.epsilons.of_blocks(), x)?;
        x = to_nchw(b, &format!("stage{}", stage + 1), tokens)?;
        stages.push(tokens);
    }
    parts::head(b, config, &stages)
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
        let without = SegFormerConfig { drop_path: 0.0, dropout: 0.0, ..config.clone() };
        assert_eq!((drops(&config), drops(&without)), (15, 0));
    }
}
