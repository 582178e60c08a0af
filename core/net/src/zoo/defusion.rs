//! DeFusion (Liang, Jiang, Liu, Ma, ECCV 2022): the class of the published test script.
//!
//! One encoder takes both images, in gray repeated three times, down to an eighth of the size; a common encoder joins what it gives.
//! Three decoders come back up over the encoder's results of every size: one for what both images have in common, and one, twice, for
//! what each has alone. Their sum goes through one convolution. Everything is made of ResNeSt bottlenecks without normalisation: a
//! 3×3 convolution in two groups whose halves are weighted against each other by their means over the image, so that every
//! pixel depends on the whole image. 7,874,473 parameters in the published file, of which fusing uses all but two projections.
//!
//! The original's softmax over two numbers is σ of their difference here: the same share, in fewer steps. Its nearest resize after
//! each bilinear step up acts on odd sizes alone, where it leaves out the last row or column.

mod parts;

use crate::builder::{Bias, Builder, ConvSpec};
use crate::compose::luma;
use crate::error::GraphError;
use crate::op::{Activation, Op};
use crate::tensor::Value;
use crate::zoo::fusion::{FusionNetwork, WHOLE_IMAGE};
use crate::zoo::network::{Facts, Found, Network, Place, PlaceOf, Sides, Tensors};
use parts::{Kind, Layer};
use serde::{Deserialize, Serialize};

/// Largest accepted border: a graph must fit into memory.
const MAX_PADDING_PX: usize = 256;
/// Convolutions that make pictures of what the decoders give, in training alone.
const PROJECTIONS: [&str; 2] = ["decoder_common_projection_layer.", "decoder_upper_projection_layer."];

/// How the network is run; its widths are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeFusionConfig {
    /// Mirrored border around both images, taken off the result again, px. The tensors do not tell.
    pub padding_px: usize,
}

impl Default for DeFusionConfig {
    /// As in the published test script.
    fn default() -> Self {
        DeFusionConfig { padding_px: 16 }
    }
}

impl Network for DeFusionConfig {
    const KIND: &'static str = "defusion";
    const FACTS: Facts = Facts {
        title: "DeFusion",
        paper: "Fusion from Decomposition: A Self-Supervised Decomposition Approach for Image Fusion, ECCV 2022",
        licence: "MIT",
        parity: "seeded weights (no trained ones were at hand) within 1e-5 (float32) of the original, on libtorch and ONNX Runtime",
    };

    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>> {
        let own = ["encoder_upper.2.layer.0.conv2.conv.weight", "fusion_rule.0.weight"];
        own.iter().any(|name| tensors.has(name)).then(|| Found::new(Self::default()))
    }

    /// What the original names `lower` are the tensors of `upper` once more.
    fn published_names(tensors: &dyn Tensors) -> Option<PlaceOf> {
        let is_whole = PROJECTIONS.iter().any(|name| tensors.has(&format!("{name}0.weight")));
        is_whole.then_some(|name| {
            let is_unused = name.contains("lower") || PROJECTIONS.iter().any(|projection| name.starts_with(projection));
            Some(if is_unused { Place::Unused } else { Place::Whole(name.to_owned()) })
        })
    }
}

impl FusionNetwork for DeFusionConfig {
    fn output_range(&self) -> [f64; 2] {
        [0.0, f64::INFINITY]
    }

    fn receptive_field_px(&self) -> usize {
        WHOLE_IMAGE
    }

    /// A border is mirrored at its edge pixel.
    fn sides(&self) -> Sides {
        Sides { least_px: self.padding_px + 1, ..Sides::ANY }
    }

    fn build(&self, b: &mut Builder, ir: Value, vi: Value) -> Result<Value, GraphError> {
        let padding_px = self.padding_px;
        if padding_px > MAX_PADDING_PX {
            let what = format!("padding_px: expected at most {MAX_PADDING_PX}, found {padding_px}");
            return Err(GraphError::Config { network: Self::KIND, what });
        }
        let [encoder, common_encoder, common, own] =
            [Encoder::layers, Encoder::common, common_decoder, own_decoder].map(|layers| layers(b));
        let (encoder, common_encoder, common, own) = (encoder?, common_encoder?, common?, own?);
        let encoder = Encoder { first: b.conv_params("encoder_upper.0", ConvSpec::same(16, 3), 3)?, layers: encoder };
        let last = b.conv_params("fusion_rule.0", ConvSpec::same(3, 3), 16)?;

        let upper = b.scoped("ir.", |b| encoder.apply(b, padding_px, ir))?;
        let lower = b.scoped("vi.", |b| encoder.apply(b, padding_px, vi))?;
        let deepest = b.node("deepest", Op::Concat { axis: 1 }, &[upper[3], lower[3]])?;
        let shared = apply_all(b, &common_encoder, deepest)?;
        let both = [2, 1].map(|level| vec![upper[level], lower[level]]);
        let start = [shared, upper[3], lower[3]];
        let common = b.scoped("common.", |b| decode(b, &common, &start, &both, upper[0]))?;
        let mut alone = |name: &str, levels: &[Value; 4]| {
            let own_levels = [2, 1].map(|level| vec![levels[level]]);
            b.scoped(name, |b| decode(b, &own, &[shared, levels[3]], &own_levels, levels[0]))
        };
        let (of_ir, of_vi) = (alone("upper.", &upper)?, alone("lower.", &lower)?);
        let sum = b.node("alone", Op::Add, &[of_ir, of_vi])?;
        let sum = b.node("sum", Op::Add, &[sum, common])?;
        let fused = b.node("fusion_rule.0", Op::Conv(last), &[sum])?;
        let mut fused = b.activation("fusion_rule", Activation::Relu, fused)?;
        if padding_px > 0 {
            fused = b.node("cropped", Op::Crop { top: padding_px, left: padding_px }, &[fused, ir])?;
        }
        luma(b, "fused", fused)
    }
}

/// The encoder, whose weights both images share.
struct Encoder {
    first: crate::op::Conv,
    layers: Vec<Layer>,
}

impl Encoder {
    fn layers(b: &mut Builder) -> Result<Vec<Layer>, GraphError> {
        [
            Layer::new(b, "encoder_upper.2", 16, 8, 6, Kind::Encoder { stride: 1, is_first: true }),
            Layer::new(b, "upper_encoder_layer1", 32, 16, 6, Kind::Encoder { stride: 1, is_first: false }),
            Layer::new(b, "upper_encoder_layer2", 64, 32, 4, Kind::Encoder { stride: 2, is_first: false }),
            Layer::new(b, "upper_encoder_layer3", 128, 64, 4, Kind::Encoder { stride: 2, is_first: false }),
        ]
        .into_iter()
        .collect()
    }

    fn common(b: &mut Builder) -> Result<Vec<Layer>, GraphError> {
        let kind = Kind::Encoder { stride: 1, is_first: false };
        Ok(vec![Layer::new(b, "common_encoder.0", 512, 256, 4, kind)?])
    }

    /// What it gives at full size, at a half, a quarter and an eighth.
    fn apply(&self, b: &mut Builder, padding_px: usize, gray: Value) -> Result<[Value; 4], GraphError> {
        let n = padding_px;
        let mut x = gray;
        if n > 0 {
            x = b.node("mirrored", Op::ReflectPad { top: n, bottom: n, left: n, right: n }, &[x])?;
        }
        let x = b.node("rgb", Op::Concat { axis: 1 }, &[x, x, x])?;
        let x = b.node("encoder_upper.0", Op::Conv(self.first.clone()), &[x])?;
        let mut x = b.activation("encoder_upper.1", Activation::Relu, x)?;
        let mut levels = [x; 4];
        for (i, (layer, level)) in self.layers.iter().zip(&mut levels).enumerate() {
            if i == 1 {
                x = b.node("maxpool_upper", Op::MaxPool { kernel: 3, stride: 2, padding: 1 }, &[x])?;
            }
            x = layer.apply(b, x)?;
            *level = x;
        }
        Ok(levels)
    }
}

fn common_decoder(b: &mut Builder) -> Result<Vec<Layer>, GraphError> {
    let layers = [("1", 1536, 64), ("2", 512, 16), ("3", 192, 4), ("4.0", 16, 4)];
    let new = |(number, channels, planes)| {
        Layer::new(b, &format!("decoder_common_layer{number}"), channels, planes, 2, Kind::Decoder)
    };
    layers.into_iter().map(new).collect()
}

fn own_decoder(b: &mut Builder) -> Result<Vec<Layer>, GraphError> {
    let layers = [("1", 1280, 96, 4), ("2", 512, 32, 4), ("3", 192, 16, 6), ("4.0", 64, 4, 6)];
    let new = |(number, channels, planes, blocks)| {
        Layer::new(b, &format!("decoder_upper_layer{number}"), channels, planes, blocks, Kind::Decoder)
    };
    layers.into_iter().map(new).collect()
}

fn apply_all(b: &mut Builder, layers: &[Layer], x: Value) -> Result<Value, GraphError> {
    layers.iter().try_fold(x, |x, layer| layer.apply(b, x))
}

/// From an eighth of the size to the size of `full`: joined with the encoder's results at a quarter and a half on the way.
fn decode(
    b: &mut Builder,
    layers: &[Layer],
    start: &[Value],
    levels: &[Vec<Value>; 2],
    full: Value,
) -> Result<Value, GraphError> {
    let mut x = b.node("joined1", Op::Concat { axis: 1 }, start)?;
    let skips = levels.iter().map(Vec::as_slice).chain([[].as_slice(); 2]);
    for ((number, layer), skips) in (1..).zip(layers).zip(skips) {
        x = layer.apply(b, x)?;
        let Some(like) = skips.first().copied().or((number == 3).then_some(full)) else { continue };
        x = enlarged(b, &format!("enlarged{number}"), x, like)?;
        if !skips.is_empty() {
            let all: Vec<Value> = [x].into_iter().chain(skips.iter().copied()).collect();
            x = b.node(&format!("joined{}", number + 1), Op::Concat { axis: 1 }, &all)?;
        }
    }
    Ok(x)
}

/// Twice the size, bilinear, without the last row or column where `like` has one less.
fn enlarged(b: &mut Builder, name: &str, x: Value, like: Value) -> Result<Value, GraphError> {
    // One channel is enough to lend its extents.
    let part = b.node(&format!("{name}.part"), Op::Slice { axis: 1, start: 0, len: 1 }, &[x])?;
    let twice = b.node(&format!("{name}.twice"), Op::UpsampleNearest { factor: 2 }, &[part])?;
    let wide = b.node(&format!("{name}.wide"), Op::ResizeLike, &[x, twice])?;
    b.node(name, Op::Crop { top: 0, left: 0 }, &[wide, like])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::fusion::FusionConfig;

    #[test]
    fn the_published_network_has_the_published_parameters() {
        let g = FusionConfig::from(DeFusionConfig::default()).graph().unwrap();
        // 7,874,473 and 384 tensors with two projections of 3·16·9 + 3.
        assert_eq!((g.trainable_count(), g.params().len()), (7_874_473 - 2 * 435, 384 - 4));
    }

    #[test]
    fn every_size_from_the_border_on_is_taken() {
        let g = FusionConfig::from(DeFusionConfig::default()).graph().unwrap();
        for (height, width) in [(17, 17), (18, 31), (125, 157), (64, 64)] {
            let sized = g.bind(&[("batch", 1), ("height", height), ("width", width)]).unwrap();
            let fused = sized.output("fused").unwrap();
            assert_eq!(sized.type_of(fused).to_string(), format!("f32[1, 1, {height}, {width}]"));
        }
        assert!(g.bind(&[("batch", 1), ("height", 16), ("width", 17)]).is_err());
        let wide = DeFusionConfig { padding_px: MAX_PADDING_PX + 1 };
        assert!(FusionConfig::from(wide).graph().unwrap_err().to_string().contains("found 257"));
    }
}
