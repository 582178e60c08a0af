//! A small fusion network for machines that a published one is too slow on, to be trained after it (`fusion.teacher`).
//!
//! At full resolution there is only what costs next to nothing: the mean of both images. What is to be added to it is found at a
//! fraction of the resolution: the first convolution steps by `scale` px and so keeps every pixel as channels, the last one gives a
//! channel for each pixel of a block. The time of small convolutions is that of the memory they move, which this keeps down.

use crate::builder::{Builder, ConvSpec};
use crate::error::GraphError;
use crate::op::{Activation, Op};
use crate::tensor::Value;
use crate::zoo::fusion::FusionNetwork;
use crate::zoo::network::{Facts, Found, Network, Tensors, require_counts};
use serde::{Deserialize, Serialize};

/// Largest accepted width: widths come from files, and a graph must fit into memory.
const MAX_WIDTH: usize = 1024;
/// Largest accepted number of convolutions between the first and the last.
const MAX_DEPTH: usize = 64;
/// Largest accepted step.
const MAX_SCALE: usize = 16;

/// Sizes of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StudentConfig {
    /// Channels inside.
    pub width: usize,
    /// Convolutions between the first and the last.
    pub depth: usize,
    /// Pixels of the image to one inside, in both directions.
    pub scale: usize,
}

impl Default for StudentConfig {
    fn default() -> Self {
        StudentConfig { width: 64, depth: 2, scale: 4 }
    }
}

impl Network for StudentConfig {
    const KIND: &'static str = "student";
    const FACTS: Facts = Facts {
        title: "the student",
        paper: "this project's own",
        licence: "this project's (MIT or Apache-2.0)",
        parity: "there is no original",
    };

    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>> {
        let &[width, 2, kernel, _] = tensors.shape("head.weight")? else { return None };
        let depth = tensors.count("body.", 0, ".weight");
        Some(Found::new(StudentConfig { width, depth, scale: kernel / 2 }))
    }
}

impl FusionNetwork for StudentConfig {
    fn output_range(&self) -> [f64; 2] {
        [0.0, 1.0]
    }

    /// The convolutions inside reach one block further each, the first one `scale` px to both sides of its block's first pixel.
    fn receptive_field_px(&self) -> usize {
        1 + 2 * self.scale * (self.depth + 2)
    }

    fn build(&self, b: &mut Builder, ir: Value, vi: Value) -> Result<Value, GraphError> {
        let StudentConfig { width, depth, scale } = *self;
        let counts = [("width", width, MAX_WIDTH), ("depth", depth, MAX_DEPTH), ("scale", scale, MAX_SCALE)];
        require_counts(Self::KIND, &counts)?;
        let both = b.node("both", Op::Concat { axis: 1 }, &[ir, vi])?;
        // As many blocks as begin in the image, so that any size is taken; what lies beyond is cut off behind.
        let head = ConvSpec { stride: scale, padding: scale, ..ConvSpec::same(width, 2 * scale + 1) };
        let x = b.conv("head", head, both)?;
        let mut x = b.activation("head.relu", Activation::Relu, x)?;
        for i in 0..depth {
            x = b.conv(&format!("body.{i}"), ConvSpec::same(width, 3), x)?;
            x = b.activation(&format!("body.{i}.relu"), Activation::Relu, x)?;
        }
        let x = b.conv("tail", ConvSpec::same(scale * scale, 3), x)?;
        let x = b.node("pixels", Op::PixelShuffle { factor: scale }, &[x])?;
        let change = b.node("change", Op::Crop { top: 0, left: 0 }, &[x, ir])?;
        let sum = b.node("sum", Op::Add, &[ir, vi])?;
        let mean = b.node("mean", Op::Affine { scale: 0.5, shift: 0.0 }, &[sum])?;
        let fused = b.node("changed", Op::Add, &[mean, change])?;
        b.node("fused", Op::Clamp { min: 0.0, max: 1.0 }, &[fused])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::fusion::FusionConfig;

    /// Kernels over the pixels that share a place inside.
    #[test]
    fn the_default_costs_less_than_8_thousand_multiply_adds_a_pixel() {
        let g = FusionConfig::from(StudentConfig::default()).graph().unwrap();
        let (height, width) = (48, 64);
        let macs = g.bind(&[("batch", 1), ("height", height), ("width", width)]).unwrap().conv_macs();
        let kernels = 64 * (2 * 9 * 9) + 2 * 64 * 64 * 9 + 16 * 64 * 9;
        assert_eq!(macs, (kernels * height * width / 16) as u64);
        assert!(macs < (8_000 * height * width) as u64, "{macs}");
    }

    #[test]
    fn sizes_that_no_memory_holds_are_refused() {
        let c = StudentConfig::default();
        for (config, found) in [
            (StudentConfig { width: 0, ..c }, "width: expected from 1 to"),
            (StudentConfig { depth: 65, ..c }, "depth: expected from 1 to 64, found 65"),
            (StudentConfig { scale: 17, ..c }, "scale: expected from 1 to 16, found 17"),
        ] {
            let error = FusionConfig::from(config).graph().unwrap_err().to_string();
            assert!(error.contains("student") && error.contains(found), "{error}");
        }
    }
}
