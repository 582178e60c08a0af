//! DIDFuse (Zhao, Xu, Zhang, Liu, Zhang, Li, IJCAI 2020).
//!
//! One encoder takes each source apart: two convolutions, then two side by side that give what both cameras see alike (background)
//! and what one sees alone (detail). Background, detail and the results of the first two convolutions are added over the sources
//! and go through a decoder of three convolutions. All 3×3, normalised, with a learnt slope below zero; tanh for background and
//! detail, σ at the end; mirrored borders at both ends, zeros between. 260,935 parameters at the published width; receptive
//! field 13×13.

use crate::builder::{Builder, ConvSpec};
use crate::error::GraphError;
use crate::op::{Activation, Conv, Norm, Op};
use crate::param::{ParamId, ParamRole};
use crate::tensor::Value;
use crate::zoo::fusion::FusionNetwork;
use crate::zoo::network::{Facts, Found, Network, Sides, Tensors, require_counts};
use serde::{Deserialize, Serialize};

/// Epsilon of the original's normalisation.
const EPS: f64 = 1e-5;
/// Share of a new batch in its running statistics.
const MOMENTUM: f64 = 0.1;
/// Largest accepted width: widths come from files, and a graph must fit into memory.
const MAX_WIDTH: usize = 1024;

/// How the features of both sources become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Merge {
    /// a + b, as in the paper.
    #[default]
    Sum,
    /// (a + b) / 2
    Average,
}

/// Width of the network and how it merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DidFuseConfig {
    /// Channels of every convolution but the last, which has one.
    pub width: usize,
    /// How the features of both sources become one; the tensors do not tell.
    pub merge: Merge,
}

impl Default for DidFuseConfig {
    /// The published network.
    fn default() -> Self {
        DidFuseConfig { width: 64, merge: Merge::default() }
    }
}

impl Network for DidFuseConfig {
    const KIND: &'static str = "didfuse";
    const FACTS: Facts = Facts {
        title: "DIDFuse",
        paper: "DIDFuse: Deep Image Decomposition for Infrared and Visible Image Fusion, IJCAI 2020",
        licence: "none given",
        parity: "the authors' weights within 3e-6 (float32) of the original, on libtorch and ONNX Runtime",
    };

    /// Either of two tensors tells the width, so that a file that lacks one of them is told which.
    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>> {
        let width = ["cov1.cov1.1.weight", "cov1.cov1.1.bias"].iter().find_map(|name| tensors.outputs(name))?;
        Some(Found::new(DidFuseConfig { width, ..Self::default() }))
    }
}

impl FusionNetwork for DidFuseConfig {
    fn output_range(&self) -> [f64; 2] {
        [0.0, 1.0]
    }

    fn receptive_field_px(&self) -> usize {
        1 + 2 * 6
    }

    /// A border is mirrored at its edge pixel, which takes a second one.
    fn sides(&self) -> Sides {
        Sides { least_px: 2, ..Sides::ANY }
    }

    fn build(&self, b: &mut Builder, ir: Value, vi: Value) -> Result<Value, GraphError> {
        let DidFuseConfig { width, merge } = *self;
        require_counts(Self::KIND, &[("width", width, MAX_WIDTH)])?;
        let mut layer = |number, channels, out| Layer::new(b, number, channels, out);
        let encoder = [layer(1, 1, width)?, layer(2, width, width)?, layer(3, width, width)?, layer(4, width, width)?];
        let decoder = [layer(5, 2 * width, width)?, layer(6, 2 * width, width)?, layer(7, 2 * width, 1)?];
        let ir = b.scoped("ir.", |b| encode(b, &encoder, ir))?;
        let vi = b.scoped("vi.", |b| encode(b, &encoder, vi))?;
        let mut merged = Vec::with_capacity(ir.len());
        for ((name, ir), vi) in FEATURES.into_iter().zip(ir).zip(vi) {
            let sum = b.node(name, Op::Add, &[ir, vi])?;
            merged.push(match merge {
                Merge::Sum => sum,
                Merge::Average => b.node(&format!("{name}.mean"), Op::Affine { scale: 0.5, shift: 0.0 }, &[sum])?,
            });
        }
        let [first, second, background, detail] = merged[..] else {
            return Err(GraphError::Foreign { op: "add", node: "features".to_owned() });
        };
        let [before, middle, last] = &decoder;
        let x = b.node("decoded", Op::Concat { axis: 1 }, &[background, detail])?;
        let x = before.apply(b, x)?;
        let x = b.node("decoded.second", Op::Concat { axis: 1 }, &[x, second])?;
        let x = middle.apply(b, x)?;
        let x = b.node("decoded.first", Op::Concat { axis: 1 }, &[x, first])?;
        last.apply(b, x)
    }
}

/// What the encoder gives, in the order of its layers.
const FEATURES: [&str; 4] = ["feature_1", "feature_2", "feature_B", "feature_D"];

/// The features of a source.
fn encode(
    b: &mut Builder,
    [first, second, background, detail]: &[Layer; 4],
    x: Value,
) -> Result<[Value; 4], GraphError> {
    let first = first.apply(b, x)?;
    let second = second.apply(b, first)?;
    Ok([first, second, background.apply(b, second)?, detail.apply(b, second)?])
}

/// What follows the normalisation of a layer.
#[derive(Clone, Copy)]
enum Bend {
    Learnt(ParamId),
    Fixed(Activation),
}

/// A convolution, its normalisation and what follows: weights that both sources share.
struct Layer {
    name: String,
    is_mirrored: bool,
    conv: Conv,
    norm: Norm,
    bend: Bend,
}

impl Layer {
    /// Layer `number` of the original, counted from 1. A module that pads stands before the convolution of the first and the last.
    fn new(b: &mut Builder, number: usize, channels: usize, out: usize) -> Result<Self, GraphError> {
        let name = format!("cov{number}");
        let is_mirrored = number == 1 || number == 7;
        let at = |place: usize| format!("{name}.{name}.{}", place + usize::from(is_mirrored));
        let conv = b.conv_params(&at(0), ConvSpec::same(out, 3), channels)?;
        let conv = if is_mirrored { Conv { padding: [0; 2], ..conv } } else { conv };
        let norm = b.norm_params(&at(1), EPS, MOMENTUM, out)?;
        let bend = match number {
            3 | 4 => Bend::Fixed(Activation::Tanh),
            7 => Bend::Fixed(Activation::Sigmoid),
            _ => Bend::Learnt(b.param(&format!("{}.weight", at(2)), &[1], ParamRole::PReluSlope)?),
        };
        Ok(Layer { name, is_mirrored, conv, norm, bend })
    }

    fn apply(&self, b: &mut Builder, mut x: Value) -> Result<Value, GraphError> {
        let name = &self.name;
        if self.is_mirrored {
            x = b.node(&format!("{name}.mirrored"), Op::ReflectPad { top: 1, bottom: 1, left: 1, right: 1 }, &[x])?;
        }
        let x = b.node(&format!("{name}.conv"), Op::Conv(self.conv.clone()), &[x])?;
        let x = b.node(&format!("{name}.norm"), Op::Norm(self.norm.clone()), &[x])?;
        match self.bend {
            Bend::Learnt(slope) => b.node(name, Op::PRelu { slope }, &[x]),
            Bend::Fixed(activation) => b.activation(name, activation, x),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::fusion::FusionConfig;

    #[test]
    fn the_published_width_has_the_published_parameters() {
        for merge in [Merge::Sum, Merge::Average] {
            let config = DidFuseConfig { merge, ..DidFuseConfig::default() };
            let g = FusionConfig::from(config).graph().unwrap();
            // Seven convolutions with bias, five entries of each normalisation, four slopes.
            assert_eq!((g.trainable_count(), g.params().len()), (260_935, 7 * 2 + 7 * 5 + 4));
        }
    }

    #[test]
    fn widths_that_no_memory_holds_are_refused() {
        for width in [0, MAX_WIDTH + 1, usize::MAX] {
            let config = DidFuseConfig { width, ..DidFuseConfig::default() };
            let error = FusionConfig::from(config).graph().unwrap_err().to_string();
            assert!(error.contains("didfuse") && error.contains(&format!("found {width}")), "{error}");
        }
    }
}
