//! The CAF fusion network (paper, Section 3; names and widths as in the published checkpoints).
//!
//! Two encoders (convolution, normalisation, ReLU), one for each source, are joined; `depth` densely connected
//! convolutions follow, then three that narrow down to one channel and a tanh. All 3×3 convolutions keep the size with a
//! border of one zero. 148,321 parameters and 147.8 kMAC a pixel at the published widths; receptive field 13×13.

use crate::builder::{Builder, ConvSpec};
use crate::error::GraphError;
use crate::graph::Graph;
use crate::op::{Activation, Op};
use crate::tensor::Value;
use crate::zoo::fusion::{FusionConfig, FusionNetwork};
use crate::zoo::network::{Facts, Found, Network, Tensors};
use serde::{Deserialize, Serialize};

/// Epsilon of the original's normalisation.
const EPS: f64 = 1e-5;
/// Share of a new batch in its running statistics.
const MOMENTUM: f64 = 0.1;

/// Largest accepted width: 32 times the published one. Widths come from files, and a graph must fit into memory.
pub const MAX_WIDTH: usize = 1024;
/// Largest accepted number of dense convolutions.
pub const MAX_DEPTH: usize = 64;

/// Widths of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CafConfig {
    /// Channels of both encoders together and of each dense convolution; even.
    pub width: usize,
    /// Number of dense convolutions.
    pub depth: usize,
    /// Whether normalisations follow the convolutions.
    pub normalised: bool,
}

impl Default for CafConfig {
    /// The published network.
    fn default() -> Self {
        CafConfig { width: 32, depth: 3, normalised: true }
    }
}

impl Network for CafConfig {
    const KIND: &'static str = "caf";
    const FACTS: Facts = Facts {
        title: "CAF fusion network",
        paper: "Where Elegance Meets Precision, IJCAI 2024",
        licence: "none given",
        parity: "both published checkpoints within 1e-5 (float32), on libtorch and ONNX Runtime",
    };

    /// Either encoder tells the width, so that a file that lacks one tensor is told which.
    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>> {
        let half = ["encoder1.0.weight", "encoder2.0.weight"].iter().find_map(|name| tensors.outputs(name))?;
        let depth = tensors.count("dense.", 0, ".0.weight");
        let normalised = tensors.has("encoder1.1.weight") || tensors.has("encoder2.1.weight");
        Some(Found::new(CafConfig { width: half.saturating_mul(2), depth, normalised }))
    }
}

impl FusionNetwork for CafConfig {
    /// A tanh: below 0 is black too.
    fn output_range(&self) -> [f64; 2] {
        [-1.0, 1.0]
    }

    /// Encoders, dense convolutions and two more, each 3×3; the last is 1×1.
    fn receptive_field_px(&self) -> usize {
        1 + 2 * (1 + self.depth + 2)
    }

    fn build(&self, b: &mut Builder, ir: Value, vi: Value) -> Result<Value, GraphError> {
        let CafConfig { width, depth, normalised } = *self;
        if width % 2 != 0 || !(2..=MAX_WIDTH).contains(&width) || !(1..=MAX_DEPTH).contains(&depth) {
            return Err(GraphError::Config {
                network: Self::KIND,
                what: format!(
                    "expected an even width from 2 to {MAX_WIDTH} and a depth from 1 to {MAX_DEPTH}, found width {width} \
                     and depth {depth}"
                ),
            });
        }
        let from_ir = block(b, "encoder1", width / 2, ir, normalised)?;
        let from_vi = block(b, "encoder2", width / 2, vi, normalised)?;
        let mut x = b.node("encoders", Op::Concat { axis: 1 }, &[from_ir, from_vi])?;
        for i in 0..depth {
            let y = block(b, &format!("dense.{i}"), width, x, normalised)?;
            x = b.node(&format!("dense.{i}.joined"), Op::Concat { axis: 1 }, &[x, y])?;
        }
        let x = block(b, "fuse.0", 2 * width, x, false)?;
        let x = block(b, "fuse.1", width, x, normalised)?;
        let x = b.conv("fuse.2.0", ConvSpec::same(1, 1), x)?;
        b.activation("fuse.2.tanh", Activation::Tanh, x)
    }
}

/// Convolution, normalisation if asked for, ReLU.
fn block(b: &mut Builder, name: &str, out: usize, x: Value, normalised: bool) -> Result<Value, GraphError> {
    let mut y = b.conv(&format!("{name}.0"), ConvSpec::same(out, 3), x)?;
    if normalised {
        y = b.norm(&format!("{name}.1"), EPS, MOMENTUM, y)?;
    }
    b.activation(&format!("{name}.relu"), Activation::Relu, y)
}

/// The network alone: inputs `ir`, `vi` and output `fused`, `[batch, 1, height, width]` each; the output is raw, in (−1, 1).
///
/// # Errors
/// When a width is odd, or a width or depth is zero or above [`MAX_WIDTH`] or [`MAX_DEPTH`].
pub fn graph(config: &CafConfig) -> Result<Graph, GraphError> {
    FusionConfig::from(*config).graph()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_widths_have_the_published_parameters() {
        let g = graph(&CafConfig::default()).unwrap();
        assert_eq!(g.trainable_count(), 148_321);
        assert_eq!(g.params().len(), 46);
        let fused = g.output("fused").unwrap();
        assert_eq!(g.type_of(fused).to_string(), "f32[batch, 1, height, width]");
    }

    #[test]
    fn small_widths_count_as_in_the_hypergradient_problem() {
        let small = CafConfig { width: 8, depth: 3, normalised: true };
        assert_eq!(graph(&small).unwrap().trainable_count(), 9433);
        assert_eq!(graph(&CafConfig { normalised: false, ..small }).unwrap().trainable_count(), 9353);
    }

    #[test]
    fn an_odd_width_is_refused_with_what_was_found() {
        let error = graph(&CafConfig { width: 7, ..CafConfig::default() }).unwrap_err();
        assert!(error.to_string().contains("found width 7"), "{error}");
    }

    #[test]
    fn widths_that_no_memory_holds_are_refused() {
        for (width, depth) in [(usize::MAX - 1, 3), (MAX_WIDTH + 2, 3), (0, 3), (8, 0), (8, usize::MAX)] {
            let error = graph(&CafConfig { width, depth, normalised: true }).unwrap_err();
            assert!(matches!(error, GraphError::Config { network: "caf", .. }), "{error}");
        }
    }
}
