//! The fusion network of UMFusion (Wang, Liu, Fan, Liu, UMF-CMGR, IJCAI 2022).
//!
//! Each source passes a convolution and a dense block with a shortcut. An attention, the sigmoid of the product of both, weighs
//! their features; two more convolutions decide at every pixel how much of the weighted ones is taken. All 3×3 with a border of
//! zeros, no normalisation, tanh at the end. 629,253 parameters; receptive field 19×19.

use crate::builder::{Bias, Builder, ConvSpec};
use crate::error::GraphError;
use crate::op::{Activation, Op};
use crate::tensor::Value;
use crate::zoo::fusion::FusionNetwork;
use crate::zoo::network::{Facts, Found, Network, Tensors, require_counts};
use serde::{Deserialize, Serialize};

/// Slope below zero of the first convolutions.
const SLOPE: f64 = 0.2;
/// Largest accepted width: widths come from files, and a graph must fit into memory.
const MAX_WIDTH: usize = 1024;
/// Largest accepted number of dense convolutions.
const MAX_DEPTH: usize = 64;

/// Widths of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UmFusionConfig {
    /// Channels of the features, and of each dense convolution.
    pub width: usize,
    /// Dense convolutions of a source.
    pub depth: usize,
}

impl Default for UmFusionConfig {
    /// The published network.
    fn default() -> Self {
        UmFusionConfig { width: 64, depth: 3 }
    }
}

impl Network for UmFusionConfig {
    const KIND: &'static str = "umfusion";
    const FACTS: Facts = Facts {
        title: "UMFusion (UMF-CMGR)",
        paper: "Unsupervised Misaligned Infrared and Visible Image Fusion via Cross-Modality Image Generation and \
                Registration, IJCAI 2022",
        licence: "MIT",
        parity: "seeded weights within 5e-6 (float32) of the original class, on libtorch and ONNX Runtime; the authors' weights \
                 were not at hand",
    };

    /// Either first convolution tells the width, so that a file that lacks one tensor is told which.
    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>> {
        let width = ["conv1_1.0.weight", "conv2_1.0.weight"].iter().find_map(|name| tensors.outputs(name))?;
        let depth = tensors.count("ir_path.0.dense_layers.", 0, ".conv.weight");
        Some(Found::new(UmFusionConfig { width, depth }))
    }
}

impl FusionNetwork for UmFusionConfig {
    /// A tanh: below 0 is black too.
    fn output_range(&self) -> [f64; 2] {
        [-1.0, 1.0]
    }

    /// The first convolution, the dense ones, and behind them attention, its choice and the last two.
    fn receptive_field_px(&self) -> usize {
        1 + 2 * (1 + self.depth + 4)
    }

    fn build(&self, b: &mut Builder, ir: Value, vi: Value) -> Result<Value, GraphError> {
        let UmFusionConfig { width, depth } = *self;
        require_counts(Self::KIND, &[("width", width, MAX_WIDTH), ("depth", depth, MAX_DEPTH)])?;
        let ir = self.features(b, ["conv1_1", "ir_path.0"], ir)?;
        let vi = self.features(b, ["conv2_1", "vi_path.0"], vi)?;
        let query = b.conv("fuse.query_conv", ConvSpec::same(width, 3), ir)?;
        let key = b.conv("fuse.key_conv", ConvSpec::same(width, 3), vi)?;
        let product = b.node("fuse.product", Op::Mul, &[query, key])?;
        let attention = b.activation("fuse.sig", Activation::Sigmoid, product)?;
        let ir = attended(b, ["fuse.gamma1", "fuse.x_out"], ir, attention)?;
        let vi = attended(b, ["fuse.gamma2", "fuse.prior_out"], vi, attention)?;
        let x = b.node("fuse.joined", Op::Concat { axis: 1 }, &[ir, vi])?;
        let x = b.conv("fuse_res", ConvSpec::same(width, 3), x)?;
        let x = b.conv("out_conv", ConvSpec::same(1, 3), x)?;
        b.activation("tanh", Activation::Tanh, x)
    }
}

impl UmFusionConfig {
    /// What a source is before it meets the other: its first convolution, then the dense block and its shortcut.
    fn features(&self, b: &mut Builder, [first, path]: [&str; 2], x: Value) -> Result<Value, GraphError> {
        let x = b.conv(&format!("{first}.0"), ConvSpec::same(self.width, 3), x)?;
        let first = b.activation(&format!("{first}.leaky"), Activation::LeakyRelu { slope: SLOPE }, x)?;
        let mut x = first;
        for i in 0..self.depth {
            let name = format!("{path}.dense_layers.{i}");
            let spec = ConvSpec { bias: Bias::None, ..ConvSpec::same(self.width, 3) };
            let y = b.conv(&format!("{name}.conv"), spec, x)?;
            let y = b.activation(&format!("{name}.relu"), Activation::Relu, y)?;
            x = b.node(&format!("{name}.joined"), Op::Concat { axis: 1 }, &[x, y])?;
        }
        let narrow = ConvSpec { bias: Bias::None, ..ConvSpec::same(self.width, 1) };
        let x = b.conv(&format!("{path}.conv_1x1"), narrow, x)?;
        b.node(&format!("{path}.sum"), Op::Add, &[x, first])
    }
}

/// g₀ x + g₁ a x, where a is the attention and g two numbers a pixel, found from x and a x.
fn attended(b: &mut Builder, [gamma, name]: [&str; 2], x: Value, attention: Value) -> Result<Value, GraphError> {
    let weighted = b.node(&format!("{name}.attended"), Op::Mul, &[x, attention])?;
    let both = b.node(&format!("{gamma}.joined"), Op::Concat { axis: 1 }, &[x, weighted])?;
    let shares = b.conv(gamma, ConvSpec::same(2, 3), both)?;
    let share = |b: &mut Builder, i: usize, of: Value| {
        let g = b.node(&format!("{gamma}.{i}"), Op::Slice { axis: 1, start: i, len: 1 }, &[shares])?;
        b.node(&format!("{name}.{i}"), Op::Mul, &[of, g])
    };
    let (plain, weighted) = (share(b, 0, x)?, share(b, 1, weighted)?);
    b.node(name, Op::Add, &[plain, weighted])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::fusion::FusionConfig;

    #[test]
    fn the_published_widths_have_the_published_parameters() {
        let g = FusionConfig::from(UmFusionConfig::default()).graph().unwrap();
        assert_eq!((g.trainable_count(), g.params().len()), (629_253, 24));
    }

    #[test]
    fn widths_that_no_memory_holds_are_refused() {
        let c = UmFusionConfig::default();
        for (config, found) in [
            (UmFusionConfig { width: 0, ..c }, "width: expected from 1 to"),
            (UmFusionConfig { width: usize::MAX, ..c }, "found 18446744073709551615"),
            (UmFusionConfig { depth: 65, ..c }, "depth: expected from 1 to 64, found 65"),
        ] {
            let error = FusionConfig::from(config).graph().unwrap_err().to_string();
            assert!(error.contains("umfusion") && error.contains(found), "{error}");
        }
    }
}
