//! ResNeSt bottlenecks without normalisation: radix 2, cardinality 1, expansion 4.

use super::{Bias, ConvSpec};
use crate::builder::Builder;
use crate::error::GraphError;
use crate::op::{Activation, Conv, MeanWindows, Op};
use crate::tensor::Value;

/// Channels behind a bottleneck for each of its planes.
const EXPANSION: usize = 4;
/// Fewest channels between the two steps that weight the halves.
const LEAST_INNER: usize = 32;

/// Where a layer stands.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// It may halve the image, by means.
    Encoder {
        stride: usize,
        /// It takes means even where it does not halve.
        is_first: bool,
    },
    Decoder,
}

/// Bottlenecks one behind the other: weights for every place that uses them.
pub(super) struct Layer {
    blocks: Vec<Bottleneck>,
}

impl Layer {
    pub(super) fn new(
        b: &mut Builder,
        name: &str,
        channels: usize,
        planes: usize,
        blocks: usize,
        kind: Kind,
    ) -> Result<Self, GraphError> {
        let block = |i: usize| {
            let name = format!("{name}.layer.{i}");
            if i == 0 {
                return Bottleneck::first(b, name, channels, planes, kind);
            }
            Bottleneck::new(b, name, EXPANSION * planes, planes)
        };
        Ok(Layer { blocks: (0..blocks).map(block).collect::<Result<_, _>>()? })
    }

    pub(super) fn apply(&self, b: &mut Builder, x: Value) -> Result<Value, GraphError> {
        self.blocks.iter().try_fold(x, |x, block| block.apply(b, x))
    }
}

struct Bottleneck {
    name: String,
    planes: usize,
    narrow: Conv,
    halves: Conv,
    squeeze: Conv,
    weigh: Conv,
    wide: Conv,
    /// Step of the means behind the weighted halves.
    means: Option<usize>,
    /// Step of the means before the convolution beside them, which there is where widths differ.
    beside: Option<(usize, Conv)>,
}

/// 1×1, without a bias.
fn plain(out: usize) -> ConvSpec {
    ConvSpec { bias: Bias::None, ..ConvSpec::same(out, 1) }
}

impl Bottleneck {
    fn new(b: &mut Builder, name: String, channels: usize, planes: usize) -> Result<Self, GraphError> {
        let inner = (planes / 2).max(LEAST_INNER);
        let mut conv = |part: &str, spec, channels| b.conv_params(&format!("{name}.{part}"), spec, channels);
        let narrow = conv("conv1", plain(planes), channels)?;
        let halves = ConvSpec { bias: Bias::None, ..ConvSpec::same(2 * planes, 3) };
        let halves = Conv { groups: 2, ..conv("conv2.conv", halves, planes / 2)? };
        let squeeze = conv("conv2.fc1", ConvSpec::same(inner, 1), planes)?;
        let weigh = conv("conv2.fc2", ConvSpec::same(2 * planes, 1), inner)?;
        let wide = conv("conv3", plain(EXPANSION * planes), planes)?;
        Ok(Bottleneck { name, planes, narrow, halves, squeeze, weigh, wide, means: None, beside: None })
    }

    /// The first of its layer.
    fn first(b: &mut Builder, name: String, channels: usize, planes: usize, kind: Kind) -> Result<Self, GraphError> {
        let (means, stride, place) = match kind {
            Kind::Encoder { stride, is_first } => ((stride > 1 || is_first).then_some(stride), stride, 1),
            Kind::Decoder => (None, 1, 0),
        };
        let out = EXPANSION * planes;
        let is_beside = channels != out || stride > 1;
        let beside = is_beside.then(|| b.conv_params(&format!("{name}.downsample.{place}"), plain(out), channels));
        let beside = beside.transpose()?.map(|conv| (stride, conv));
        Ok(Bottleneck { means, beside, ..Bottleneck::new(b, name, channels, planes)? })
    }

    fn apply(&self, b: &mut Builder, x: Value) -> Result<Value, GraphError> {
        b.scoped(&format!("{}.", self.name), |b| self.inside(b, x))
            .and_then(|sum| b.activation(&self.name, Activation::Relu, sum))
    }

    fn inside(&self, b: &mut Builder, x: Value) -> Result<Value, GraphError> {
        let y = b.node("conv1", Op::Conv(self.narrow.clone()), &[x])?;
        let y = b.activation("relu", Activation::Relu, y)?;
        let mut y = b.scoped("conv2.", |b| self.weighted_halves(b, y))?;
        if let Some(stride) = self.means {
            let windows = MeanWindows::Sliding { stride, padding: 1 };
            y = b.node("avd_layer", Op::MeanPool { kernel: 3, windows }, &[y])?;
        }
        let y = b.node("conv3", Op::Conv(self.wide.clone()), &[y])?;
        let mut beside = x;
        if let Some((stride, conv)) = &self.beside {
            if *stride > 1 {
                let windows = MeanWindows::Tiles;
                beside = b.node("downsample.means", Op::MeanPool { kernel: *stride, windows }, &[beside])?;
            }
            beside = b.node("downsample", Op::Conv(conv.clone()), &[beside])?;
        }
        b.node("sum", Op::Add, &[y, beside])
    }

    fn weighted_halves(&self, b: &mut Builder, x: Value) -> Result<Value, GraphError> {
        let planes = self.planes;
        let half =
            |b: &mut Builder, name: &str, x, start| b.node(name, Op::Slice { axis: 1, start, len: planes }, &[x]);
        let x = b.node("conv", Op::Conv(self.halves.clone()), &[x])?;
        let x = b.activation("relu", Activation::Relu, x)?;
        let (first, second) = (half(b, "first", x, 0)?, half(b, "second", x, planes)?);
        let sum = b.node("sum", Op::Add, &[first, second])?;
        let means = b.node("means", Op::GlobalMean, &[sum])?;
        let y = b.node("fc1", Op::Conv(self.squeeze.clone()), &[means])?;
        let y = b.activation("fc1.relu", Activation::Relu, y)?;
        let y = b.node("fc2", Op::Conv(self.weigh.clone()), &[y])?;
        let (for_first, for_second) = (half(b, "for_first", y, 0)?, half(b, "for_second", y, planes)?);
        let ahead = b.node("ahead", Op::Sub, &[for_first, for_second])?;
        let share = b.activation("share", Activation::Sigmoid, ahead)?;
        let rest = b.node("rest", Op::Affine { scale: -1.0, shift: 1.0 }, &[share])?;
        let first = b.node("first.weighted", Op::Mul, &[first, share])?;
        let second = b.node("second.weighted", Op::Mul, &[second, rest])?;
        b.node("weighted", Op::Add, &[first, second])
    }
}
