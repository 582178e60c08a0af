//! U2Fusion (Xu, Ma, Jiang, Guo, Ling, IEEE TPAMI 44(1), 2022), for infrared and visible.
//!
//! The two sources are joined and pass one convolution, `depth` densely connected ones (the newest features first) and four
//! that narrow down to one channel: all 3×3 over mirrored borders, leaky ReLU with slope 0.2, no normalisation, and
//! tanh(x)/2 + ½ at the end. 659,217 parameters at the published widths; receptive field 21×21.
//!
//! Names are those of the original's TensorFlow variables. That the decoder's begin with `Generator_1` is TensorFlow's doing.

use crate::builder::Builder;
use crate::error::GraphError;
use crate::op::{Activation, Conv, Op};
use crate::param::ParamRole;
use crate::tensor::{Dim, Value};
use crate::zoo::fusion::FusionNetwork;
use crate::zoo::network::{Facts, Found, KernelLayout, Network, Sides, Tensors};
use serde::{Deserialize, Serialize};

/// Below zero, features are multiplied by this.
const SLOPE: f64 = 0.2;
/// Largest accepted number of channels of a convolution: widths come from files, and a graph must fit into memory.
const MAX_CHANNELS: usize = 2048;
/// Largest accepted number of dense convolutions.
const MAX_DEPTH: usize = 64;

/// The first convolution.
const FIRST: &str = "Generator/encoder/conv1_1";
/// The dense convolutions, numbered from 1.
const DENSE: &str = "Generator/encoder/dense_block_conv";
/// The four last convolutions, numbered from 1.
const DECODER: &str = "Generator_1/decoder/conv2_";

/// The two images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Infrared.
    #[default]
    Ir,
    /// Visible.
    Vi,
}

/// Widths of the network and the order of its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct U2FusionConfig {
    /// Channels of the first and of each dense convolution.
    pub width: usize,
    /// Number of dense convolutions.
    pub depth: usize,
    /// Channels of the convolutions behind them, but the last, which has one.
    pub decoder: [usize; 3],
    /// Which image is the network's first source; the tensors do not tell. It is not symmetric. The authors' results have
    /// infrared first, their later test script has visible first.
    pub first: Source,
}

impl Default for U2FusionConfig {
    /// The published network in the order of its published results.
    fn default() -> Self {
        U2FusionConfig { width: 44, depth: 5, decoder: [128, 64, 32], first: Source::Ir }
    }
}

impl Network for U2FusionConfig {
    const KIND: &'static str = "u2fusion";
    const FACTS: Facts = Facts {
        title: "U2Fusion",
        paper: "U2Fusion: A Unified Unsupervised Image Fusion Network, TPAMI 2022",
        licence: "none given",
        parity: "the authors' weights within 3e-6 (float32) of the original graph, on libtorch and ONNX Runtime",
    };

    /// Widths from the biases, so that a file that lacks one kernel is told which.
    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>> {
        let channels = |name: String| tensors.outputs(&format!("{name}/bias"));
        let width = channels(FIRST.to_owned()).or_else(|| channels(format!("{DENSE}1")))?;
        let mut decoder = Self::default().decoder;
        for (i, width) in decoder.iter_mut().enumerate() {
            *width = channels(format!("{DECODER}{}", i + 1))?;
        }
        let depth = tensors.count(DENSE, 1, "/bias");
        let config = U2FusionConfig { width, depth, decoder, first: Source::default() };
        let first = tensors.shape(&format!("{FIRST}/kernel"));
        let last = tensors.shape(&format!("{DECODER}4/kernel"));
        let kernels = match (first, last) {
            (Some([3, 3, 2, _]), _) | (_, Some([3, 3, _, 1])) => KernelLayout::Hwio,
            _ => KernelLayout::Oihw,
        };
        Some(Found { config, kernels })
    }
}

impl FusionNetwork for U2FusionConfig {
    fn output_range(&self) -> [f64; 2] {
        [0.0, 1.0]
    }

    fn receptive_field_px(&self) -> usize {
        1 + 2 * (1 + self.depth + 4)
    }

    /// A border is mirrored at its edge pixel, which takes a second one.
    fn sides(&self) -> Sides {
        Sides { least_px: 2, ..Sides::ANY }
    }

    fn build(&self, b: &mut Builder, ir: Value, vi: Value) -> Result<Value, GraphError> {
        self.check()?;
        let sources = match self.first {
            Source::Ir => [ir, vi],
            Source::Vi => [vi, ir],
        };
        let mut x = b.node("sources", Op::Concat { axis: 1 }, &sources)?;
        x = leaky(b, FIRST, self.width, x)?;
        for i in 1..=self.depth {
            let name = format!("{DENSE}{i}");
            let y = leaky(b, &name, self.width, x)?;
            x = b.node(&format!("{name}/joined"), Op::Concat { axis: 1 }, &[y, x])?;
        }
        for (i, channels) in self.decoder.into_iter().enumerate() {
            x = leaky(b, &format!("{DECODER}{}", i + 1), channels, x)?;
        }
        x = conv(b, &format!("{DECODER}4"), 1, x)?;
        x = b.node("tanh", Op::Activation(Activation::Tanh), &[x])?;
        b.node("unit", Op::Affine { scale: 0.5, shift: 0.5 }, &[x])
    }
}

impl U2FusionConfig {
    fn check(&self) -> Result<(), GraphError> {
        let U2FusionConfig { width, depth, decoder, .. } = *self;
        let fits = |channels: &usize| (1..=MAX_CHANNELS).contains(channels);
        if fits(&width) && decoder.iter().all(fits) && (1..=MAX_DEPTH).contains(&depth) {
            return Ok(());
        }
        Err(GraphError::Config {
            network: Self::KIND,
            what: format!(
                "expected widths from 1 to {MAX_CHANNELS} and a depth from 1 to {MAX_DEPTH}, found width {width}, decoder \
                 {decoder:?} and depth {depth}"
            ),
        })
    }
}

/// [`conv`] and the non-linearity.
fn leaky(b: &mut Builder, name: &str, out: usize, x: Value) -> Result<Value, GraphError> {
    let x = conv(b, name, out, x)?;
    b.node(&format!("{name}/leaky"), Op::Activation(Activation::LeakyRelu { slope: SLOPE }), &[x])
}

/// A 3×3 convolution over a mirrored border.
fn conv(b: &mut Builder, name: &str, out: usize, x: Value) -> Result<Value, GraphError> {
    let Some(Dim::Fixed(channels)) = b.type_of(x).dims.get(1).cloned() else {
        return Err(GraphError::Foreign { op: "conv", node: name.to_owned() });
    };
    let x = b.node(&format!("{name}/mirrored"), Op::ReflectPad { top: 1, bottom: 1, left: 1, right: 1 }, &[x])?;
    let fan_in = channels * 9;
    let weight = b.param(&format!("{name}/kernel"), &[out, channels, 3, 3], ParamRole::ConvWeight)?;
    let bias = b.param(&format!("{name}/bias"), &[out], ParamRole::ConvBias { fan_in })?;
    let conv = Conv { weight, bias: Some(bias), stride: [1; 2], padding: [0; 2], dilation: [1; 2], groups: 1 };
    b.node(name, Op::Conv(conv), &[x])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::fusion::FusionConfig;

    #[test]
    fn the_published_widths_have_the_published_parameters() {
        let g = FusionConfig::from(U2FusionConfig::default()).graph().unwrap();
        assert_eq!((g.trainable_count(), g.params().len()), (659_217, 20));
        assert_eq!(g.type_of(g.output("fused").unwrap()).to_string(), "f32[batch, 1, height, width]");
        let code = g.with_outputs(&["Generator/encoder/dense_block_conv5/joined"]).unwrap();
        assert_eq!(code.type_of(code.outputs()[0].value).to_string(), "f32[batch, 264, height, width]");
    }

    #[test]
    fn the_order_of_the_sources_is_a_setting() {
        let of = |text: &str| serde_json::from_str::<FusionConfig>(text).unwrap();
        let order = |config: &FusionConfig| {
            let g = config.graph().unwrap();
            g.nodes()[0].inputs.iter().map(|v| g.inputs()[v.index()].name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(order(&of(r#"{"kind": "u2fusion"}"#)), ["ir", "vi"]);
        assert_eq!(order(&of(r#"{"kind": "u2fusion", "first": "vi"}"#)), ["vi", "ir"]);
    }

    #[test]
    fn widths_that_no_memory_holds_are_refused() {
        let c = U2FusionConfig::default();
        for (config, found) in [
            (U2FusionConfig { width: 0, ..c }, "width 0"),
            (U2FusionConfig { width: usize::MAX, ..c }, "width 18446744073709551615"),
            (U2FusionConfig { depth: 65, ..c }, "depth 65"),
            (U2FusionConfig { decoder: [1, 0, 1], ..c }, "decoder [1, 0, 1]"),
        ] {
            let error = FusionConfig::from(config).graph().unwrap_err().to_string();
            assert!(error.contains("u2fusion") && error.contains(found), "{error}");
        }
    }
}
