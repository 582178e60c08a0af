//! SDNet (Zhang, Ma, IJCV 129, 2021), for infrared and visible: the path that fuses.
//!
//! Each source passes four densely connected convolutions of its own (5×5, then 3×3; leaky ReLU with slope 0.2; a border of
//! zeros; no normalisation). All eight results, in turn from infrared and visible, meet in one 1×1 convolution with a tanh. The
//! network computes on [−1, 1]. 28,705 parameters at the published width; receptive field 11×11.
//!
//! Names are those of the original's TensorFlow variables. Its checkpoint also holds the branch that takes the fused image apart
//! again in training (38,386 values); nothing of it is needed to fuse.

use crate::builder::Builder;
use crate::error::GraphError;
use crate::op::{Activation, Conv, Op};
use crate::param::ParamRole;
use crate::tensor::{Dim, Value};
use crate::zoo::fusion::FusionNetwork;
use crate::zoo::network::{Facts, Found, KernelLayout, Network, Place, PlaceOf, Tensors, require_counts};
use serde::{Deserialize, Serialize};

/// Below zero, features are multiplied by this.
const SLOPE: f64 = 0.2;
/// Largest accepted number of channels of a convolution: widths come from files, and a graph must fit into memory.
const MAX_CHANNELS: usize = 2048;
/// Convolutions of each source.
const LAYERS: usize = 4;

/// Width of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SdNetConfig {
    /// Channels of each convolution of a source.
    pub width: usize,
}

impl Default for SdNetConfig {
    /// The published network.
    fn default() -> Self {
        SdNetConfig { width: 16 }
    }
}

/// Names of weight and bias: layer `k` of `source` (`ir`, `vi`; `fuse` of the last).
fn names(k: usize, source: &str) -> [String; 2] {
    ["w", "b"].map(|kind| format!("fusion_model/layer{k}_{source}/{kind}{k}_{source}"))
}

impl Network for SdNetConfig {
    const KIND: &'static str = "sdnet";
    const FACTS: Facts = Facts {
        title: "SDNet",
        paper: "SDNet: A Versatile Squeeze-and-Decomposition Network for Real-Time Image Fusion, IJCV 2021",
        licence: "MIT",
        parity: "the authors' weights within 1.5e-6 (float32) of the original graph, on libtorch and ONNX Runtime",
    };

    /// The width from a bias, so that a file that lacks one kernel is told which.
    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>> {
        let [kernel, bias] = names(1, "ir");
        let width = tensors.outputs(&bias).or_else(|| tensors.outputs(&names(1, "vi")[1]))?;
        let kernels = match tensors.shape(&kernel) {
            Some([5, 5, 1, _]) => KernelLayout::Hwio,
            _ => KernelLayout::Oihw,
        };
        Some(Found { config: SdNetConfig { width }, kernels })
    }

    fn published_names(tensors: &dyn Tensors) -> Option<PlaceOf> {
        let decomposes = tensors.has(&names(6, "sept")[0]);
        decomposes.then_some(|name| {
            let layer = name.strip_prefix("fusion_model/layer")?.chars().next()?.to_digit(10)?;
            match layer {
                1..=5 => Some(Place::Whole(name.to_owned())),
                6..=9 => Some(Place::Unused),
                _ => None,
            }
        })
    }
}

impl FusionNetwork for SdNetConfig {
    fn output_range(&self) -> [f64; 2] {
        [0.0, 1.0]
    }

    fn receptive_field_px(&self) -> usize {
        5 + 2 * (LAYERS - 1)
    }

    fn build(&self, b: &mut Builder, ir: Value, vi: Value) -> Result<Value, GraphError> {
        let SdNetConfig { width } = *self;
        require_counts(Self::KIND, &[("width", width, MAX_CHANNELS)])?;
        let (ir, vi) = (features(b, "ir", width, ir)?, features(b, "vi", width, vi)?);
        let turns: Vec<Value> = ir.into_iter().zip(vi).flat_map(|(ir, vi)| [ir, vi]).collect();
        let x = b.node("sources", Op::Concat { axis: 1 }, &turns)?;
        let x = conv(b, 5, "fuse", 1, 1, x)?;
        let x = b.node("tanh", Op::Activation(Activation::Tanh), &[x])?;
        b.node("unit", Op::Affine { scale: 0.5, shift: 0.5 }, &[x])
    }
}

/// What each convolution of a source gives.
fn features(b: &mut Builder, source: &str, width: usize, x: Value) -> Result<Vec<Value>, GraphError> {
    let mut x = b.node(&format!("{source}/signed"), Op::Affine { scale: 2.0, shift: -1.0 }, &[x])?;
    let mut found = Vec::with_capacity(LAYERS);
    for k in 1..=LAYERS {
        let y = conv(b, k, source, width, if k == 1 { 5 } else { 3 }, x)?;
        found.push(b.node(
            &format!("{source}/leaky{k}"),
            Op::Activation(Activation::LeakyRelu { slope: SLOPE }),
            &[y],
        )?);
        x = match &found[..] {
            [first] => *first,
            all => b.node(&format!("{source}/joined{k}"), Op::Concat { axis: 1 }, all)?,
        };
    }
    Ok(found)
}

/// Layer `k` of a source before its non-linearity.
fn conv(b: &mut Builder, k: usize, source: &str, out: usize, kernel: usize, x: Value) -> Result<Value, GraphError> {
    let [weight, bias] = names(k, source);
    let Some(Dim::Fixed(channels)) = b.type_of(x).dims.get(1).cloned() else {
        return Err(GraphError::Foreign { op: "conv", node: weight });
    };
    let fan_in = channels * kernel * kernel;
    let conv = Conv {
        weight: b.param(&weight, &[out, channels, kernel, kernel], ParamRole::ConvWeight)?,
        bias: Some(b.param(&bias, &[out], ParamRole::ConvBias { fan_in })?),
        stride: [1; 2],
        padding: [kernel / 2; 2],
        dilation: [1; 2],
        groups: 1,
    };
    b.node(&format!("fusion_model/layer{k}_{source}"), Op::Conv(conv), &[x])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::fusion::FusionConfig;

    #[test]
    fn the_published_width_has_the_published_parameters() {
        let g = FusionConfig::from(SdNetConfig::default()).graph().unwrap();
        assert_eq!((g.trainable_count(), g.params().len()), (28_705, 18));
    }

    #[test]
    fn widths_that_no_memory_holds_are_refused() {
        for width in [0, MAX_CHANNELS + 1, usize::MAX] {
            let error = FusionConfig::from(SdNetConfig { width }).graph().unwrap_err().to_string();
            assert!(error.contains("sdnet") && error.contains(&format!("found {width}")), "{error}");
        }
    }
}
