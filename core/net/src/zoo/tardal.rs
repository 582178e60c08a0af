//! The generator of TarDAL (Liu, Fan, Huang, Wu, Liu, Zhong, Luo, CVPR 2022).
//!
//! Both sources, infrared first, pass a convolution, `depth` densely connected ones and four that narrow down to one channel: all
//! 3×3 with a border of zeros, normalised but for the first and the last of the four, ReLU, tanh at the end. 296,577 parameters at
//! the published widths; receptive field 17×17.
//!
//! Normalisation uses running statistics, as the published weights `tardal+` and `tardal++` are meant. Those of plain `tardal` are
//! meant to be run with the statistics of each image, which no vehicle should do: its result then depends on the size of the image.

use crate::builder::{Builder, ConvSpec};
use crate::error::GraphError;
use crate::op::{Activation, Op};
use crate::tensor::Value;
use crate::zoo::fusion::FusionNetwork;
use crate::zoo::network::{Facts, Found, Network, Tensors, require_counts};
use serde::{Deserialize, Serialize};

/// Epsilon of the original's normalisation.
const EPS: f64 = 1e-5;
/// Share of a new batch in its running statistics.
const MOMENTUM: f64 = 0.1;
/// Largest accepted width: widths come from files, and a graph must fit into memory.
const MAX_WIDTH: usize = 512;
/// Largest accepted number of dense convolutions.
const MAX_DEPTH: usize = 64;

/// Widths of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TarDalConfig {
    /// Channels of the first and of each dense convolution.
    pub width: usize,
    /// Number of dense convolutions.
    pub depth: usize,
}

impl Default for TarDalConfig {
    /// The published network.
    fn default() -> Self {
        TarDalConfig { width: 32, depth: 3 }
    }
}

impl Network for TarDalConfig {
    const KIND: &'static str = "tardal";
    const FACTS: Facts = Facts {
        title: "TarDAL's generator",
        paper: "Target-aware Dual Adversarial Learning and a Multi-scenario Multi-Modality Benchmark, CVPR 2022",
        licence: "GPL-3.0 since 2023, none given before",
        parity: "the authors' weights of 2022 with running statistics within 5e-6 (float32), on libtorch and ONNX Runtime",
    };

    /// Either of two tensors tells the width, so that a file that lacks one of them is told which.
    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>> {
        let width = ["encoder.0.weight", "encoder.1.weight"].iter().find_map(|name| tensors.outputs(name))?;
        let depth = tensors.count("dense.", 0, ".0.weight");
        Some(Found::new(TarDalConfig { width, depth }))
    }
}

impl FusionNetwork for TarDalConfig {
    /// A tanh: below 0 is black too.
    fn output_range(&self) -> [f64; 2] {
        [-1.0, 1.0]
    }

    /// The first, the dense and the last four convolutions.
    fn receptive_field_px(&self) -> usize {
        1 + 2 * (1 + self.depth + 4)
    }

    fn build(&self, b: &mut Builder, ir: Value, vi: Value) -> Result<Value, GraphError> {
        let TarDalConfig { width, depth } = *self;
        require_counts(Self::KIND, &[("width", width, MAX_WIDTH), ("depth", depth, MAX_DEPTH)])?;
        let sources = b.node("sources", Op::Concat { axis: 1 }, &[ir, vi])?;
        let mut x = block(b, ["encoder.0", "encoder.1"], width, sources)?;
        for i in 0..depth {
            let name = format!("dense.{i}");
            let y = block(b, [&format!("{name}.0"), &format!("{name}.1")], width, x)?;
            x = b.node(&format!("{name}.joined"), Op::Concat { axis: 1 }, &[x, y])?;
        }
        let x = b.conv("fuse.0.0", ConvSpec::same((depth + 1) * width, 3), x)?;
        let x = b.activation("fuse.0.relu", Activation::Relu, x)?;
        let x = block(b, ["fuse.1.0", "fuse.1.1"], 2 * width, x)?;
        let x = block(b, ["fuse.2.0", "fuse.2.1"], width, x)?;
        let x = b.conv("fuse.3.0", ConvSpec::same(1, 3), x)?;
        b.activation("tanh", Activation::Tanh, x)
    }
}

/// Convolution, normalisation, ReLU.
fn block(b: &mut Builder, [conv, norm]: [&str; 2], out: usize, x: Value) -> Result<Value, GraphError> {
    let x = b.conv(conv, ConvSpec::same(out, 3), x)?;
    let x = b.norm(norm, EPS, MOMENTUM, x)?;
    b.activation(&format!("{norm}.relu"), Activation::Relu, x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::fusion::FusionConfig;

    #[test]
    fn the_published_widths_have_the_published_parameters() {
        let g = FusionConfig::from(TarDalConfig::default()).graph().unwrap();
        assert_eq!((g.trainable_count(), g.params().len()), (296_577, 46));
    }

    #[test]
    fn widths_that_no_memory_holds_are_refused() {
        let c = TarDalConfig::default();
        for (config, found) in [
            (TarDalConfig { width: 0, ..c }, "width: expected from 1 to"),
            (TarDalConfig { width: usize::MAX, ..c }, "found 18446744073709551615"),
            (TarDalConfig { depth: 65, ..c }, "depth: expected from 1 to 64, found 65"),
        ] {
            let error = FusionConfig::from(config).graph().unwrap_err().to_string();
            assert!(error.contains("tardal") && error.contains(found), "{error}");
        }
    }
}
