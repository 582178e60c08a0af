//! The fusion network of ReCoNet (Huang, Liu, Fan, Liu, Zhong, Luo, ECCV 2022), the one with published weights.
//!
//! A loop corrects the fused image f, which starts as the larger of both sources: each source is weighed by an attention on its
//! maximum and mean with f; three dilated convolutions see f and both, and a last one makes the new f. Every turn has the same
//! weights. 7,527 parameters; receptive field 31×31 with three turns.

use crate::builder::{Bias, Builder, ConvSpec};
use crate::error::GraphError;
use crate::op::{Activation, Conv, Norm, Op};
use crate::tensor::Value;
use crate::zoo::fusion::FusionNetwork;
use crate::zoo::network::{Facts, Found, Network, Tensors, require_counts};
use serde::{Deserialize, Serialize};

/// Epsilon of the original's normalisation.
const EPS: f64 = 1e-5;
/// Share of a new batch in its running statistics.
const MOMENTUM: f64 = 0.1;
/// Dilations of the convolutions that see both sources and the fused image.
const DILATIONS: [usize; 3] = [1, 2, 3];
/// Largest accepted width: widths come from files, and a graph must fit into memory.
const MAX_WIDTH: usize = 2048;
/// Largest accepted number of turns.
const MAX_LOOPS: usize = 64;

/// Width and length of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReCoNetConfig {
    /// Channels of each dilated convolution.
    pub width: usize,
    /// Turns of the loop; the tensors do not tell.
    pub loops: usize,
}

impl Default for ReCoNetConfig {
    /// The published network.
    fn default() -> Self {
        ReCoNetConfig { width: 64, loops: 3 }
    }
}

impl Network for ReCoNetConfig {
    const KIND: &'static str = "reconet";
    const FACTS: Facts = Facts {
        title: "ReCoNet",
        paper: "ReCoNet: Recurrent Correction Network for Fast and Efficient Multi-modality Image Fusion, ECCV 2022",
        licence: "MIT",
        parity: "the authors' weights within 3e-6 (float32) of the original, on libtorch and ONNX Runtime",
    };

    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>> {
        let width = (1..=DILATIONS.len()).find_map(|i| tensors.outputs(&format!("dil_conv_{i}.0.weight")))?;
        Some(Found::new(ReCoNetConfig { width, ..Self::default() }))
    }
}

impl FusionNetwork for ReCoNetConfig {
    /// A tanh: below 0 is black too.
    fn output_range(&self) -> [f64; 2] {
        [-1.0, 1.0]
    }

    /// A turn looks one pixel further for the attention, three for the widest dilation and one for the last convolution.
    fn receptive_field_px(&self) -> usize {
        1 + 2 * 5 * self.loops
    }

    fn build(&self, b: &mut Builder, ir: Value, vi: Value) -> Result<Value, GraphError> {
        let ReCoNetConfig { width, loops } = *self;
        require_counts(Self::KIND, &[("width", width, MAX_WIDTH), ("loops", loops, MAX_LOOPS)])?;
        let weights = Turn::new(b, width)?;
        let mut fused = larger(b, "f0", ir, vi)?;
        for i in 1..=loops {
            fused = b.scoped(&format!("loop{i}."), |b| weights.apply(b, ir, vi, fused))?;
        }
        Ok(fused)
    }
}

/// The weights that every turn shares.
struct Turn {
    attention: [Conv; 2],
    dilated: Vec<(Conv, Norm)>,
    last: (Conv, Norm),
}

impl Turn {
    fn new(b: &mut Builder, width: usize) -> Result<Self, GraphError> {
        let attention = ConvSpec { bias: Bias::None, ..ConvSpec::same(1, 3) };
        let attention =
            [b.conv_params("att_a_conv", attention.clone(), 2)?, b.conv_params("att_b_conv", attention, 2)?];
        let mut dilated = Vec::with_capacity(DILATIONS.len());
        for (i, dilation) in (1..).zip(DILATIONS) {
            let conv = b.conv_params(&format!("dil_conv_{i}.0"), ConvSpec::same(width, 3), 3)?;
            let norm = b.norm_params(&format!("dil_conv_{i}.1"), EPS, MOMENTUM, width)?;
            dilated.push((Conv { dilation: [dilation; 2], padding: [dilation; 2], ..conv }, norm));
        }
        let last = b.conv_params("fus_conv.0", ConvSpec::same(1, 3), width * DILATIONS.len())?;
        let last = (last, b.norm_params("fus_conv.1", EPS, MOMENTUM, 1)?);
        Ok(Turn { attention, dilated, last })
    }

    fn apply(&self, b: &mut Builder, ir: Value, vi: Value, fused: Value) -> Result<Value, GraphError> {
        let [for_ir, for_vi] = &self.attention;
        let ir = weighed(b, "ir", for_ir, ir, fused)?;
        let vi = weighed(b, "vi", for_vi, vi, fused)?;
        let seen = b.node("joined", Op::Concat { axis: 1 }, &[ir, fused, vi])?;
        let mut found = Vec::with_capacity(self.dilated.len());
        for (i, (conv, norm)) in (1..).zip(&self.dilated) {
            let x = b.node(&format!("dil_conv_{i}.0"), Op::Conv(conv.clone()), &[seen])?;
            let x = b.node(&format!("dil_conv_{i}.1"), Op::Norm(norm.clone()), &[x])?;
            found.push(b.activation(&format!("dil_conv_{i}.2"), Activation::Relu, x)?);
        }
        let x = b.node("dil_convs", Op::Concat { axis: 1 }, &found)?;
        let (conv, norm) = &self.last;
        let x = b.node("fus_conv.0", Op::Conv(conv.clone()), &[x])?;
        let x = b.node("fus_conv.1", Op::Norm(norm.clone()), &[x])?;
        b.activation("fused", Activation::Tanh, x)
    }
}

/// A source times its attention: the sigmoid of a convolution of its maximum and its mean with the fused image.
fn weighed(b: &mut Builder, name: &str, conv: &Conv, x: Value, fused: Value) -> Result<Value, GraphError> {
    let maximum = larger(b, &format!("{name}.maximum"), x, fused)?;
    let sum = b.node(&format!("{name}.sum"), Op::Add, &[x, fused])?;
    let mean = b.node(&format!("{name}.mean"), Op::Affine { scale: 0.5, shift: 0.0 }, &[sum])?;
    let both = b.node(&format!("{name}.joined"), Op::Concat { axis: 1 }, &[maximum, mean])?;
    let attention = b.node(&format!("{name}.conv"), Op::Conv(conv.clone()), &[both])?;
    let attention = b.activation(&format!("{name}.attention"), Activation::Sigmoid, attention)?;
    b.node(&format!("{name}.weighed"), Op::Mul, &[x, attention])
}

/// max(x, y) = y + max(x − y, 0).
fn larger(b: &mut Builder, name: &str, x: Value, y: Value) -> Result<Value, GraphError> {
    let above = b.node(&format!("{name}.difference"), Op::Sub, &[x, y])?;
    let above = b.activation(&format!("{name}.above"), Activation::Relu, above)?;
    b.node(name, Op::Add, &[y, above])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::fusion::FusionConfig;

    #[test]
    fn a_longer_loop_has_no_more_parameters() {
        for loops in [1, 3, 5] {
            let config = ReCoNetConfig { loops, ..ReCoNetConfig::default() };
            let g = FusionConfig::from(config).graph().unwrap();
            assert_eq!((g.trainable_count(), g.params().len()), (7_527, 30));
        }
    }

    #[test]
    fn widths_and_loops_that_no_memory_holds_are_refused() {
        let c = ReCoNetConfig::default();
        for (config, found) in [
            (ReCoNetConfig { width: 0, ..c }, "width: expected from 1 to"),
            (ReCoNetConfig { width: usize::MAX, ..c }, "found 18446744073709551615"),
            (ReCoNetConfig { loops: 0, ..c }, "loops: expected from 1 to 64, found 0"),
            (ReCoNetConfig { loops: 65, ..c }, "loops: expected from 1 to 64, found 65"),
        ] {
            let error = FusionConfig::from(config).graph().unwrap_err().to_string();
            assert!(error.contains("reconet") && error.contains(found), "{error}");
        }
    }
}
