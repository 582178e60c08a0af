//! The operations a graph is made of.
//!
//! Ops are primitives: each does one thing that both engines do in one or two calls. What is made of several of them (colour, the
//! decoding of a detector, attention) is composed once, in [`crate::compose`] and the zoo, for every engine. The two exceptions
//! have a reason: [`Op::Letterbox`] computes a size from the size of its input, which no other op can, and the two conversions
//! between bytes and floats fix a rounding that their parts would leave open.

use crate::param::ParamId;
use caf_geometry::Size;
use serde::Serialize;

/// A pointwise non-linearity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Activation {
    /// max(x, 0)
    Relu,
    /// x·σ(x)
    Silu,
    /// tanh(x)
    Tanh,
    /// σ(x)
    Sigmoid,
    /// max(x, 0) + slope·min(x, 0)
    LeakyRelu {
        /// Slope below zero.
        slope: f64,
    },
    /// x·Φ(x) with the exact Φ(x) = (1 + erf(x / √2)) / 2
    Gelu,
}

/// A two-dimensional cross-correlation with zero padding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conv {
    /// `[out, in / groups, kernel height, kernel width]`
    pub weight: ParamId,
    /// `[out]`
    pub bias: Option<ParamId>,
    /// Rows, columns.
    pub stride: [usize; 2],
    /// Zeros added on each side: rows, columns.
    pub padding: [usize; 2],
    /// Rows, columns.
    pub dilation: [usize; 2],
    /// Channel groups.
    pub groups: usize,
}

/// Batch normalisation over batch, height and width.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Norm {
    /// Scale, `[channels]`
    pub weight: ParamId,
    /// Shift, `[channels]`
    pub bias: ParamId,
    /// Mean used in evaluation, `[channels]`
    pub running_mean: ParamId,
    /// Variance used in evaluation, `[channels]`
    pub running_var: ParamId,
    /// Number of batches seen in training, `[]`
    pub batches: ParamId,
    /// Added to the variance.
    pub eps: f64,
    /// Share of the new batch in the running statistics.
    pub momentum: f64,
}

/// Normalisation of each row along the last axis by its own mean and (biased) variance; the same in every mode.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerNorm {
    /// Scale, `[features]`
    pub weight: ParamId,
    /// Shift, `[features]`
    pub bias: ParamId,
    /// Added to the variance.
    pub eps: f64,
}

/// x·Wᵀ + b along the last axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Linear {
    /// `[out, in]`
    pub weight: ParamId,
    /// `[out]`
    pub bias: Option<ParamId>,
}

/// What [`Op::Dropout`] drops or keeps as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum DropUnit {
    /// Everything of one sample (axis 0): the drop path of a residual branch.
    Sample,
    /// One channel of one sample (axes 0 and 1).
    Channel,
    /// Every value by itself.
    Element,
}

/// One extent after [`Op::Reshape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Extent {
    /// This many.
    Fixed(usize),
    /// As many as an input has along an axis. Input 0 is the one that is reshaped; others only lend their extents.
    Of {
        /// Which input.
        input: usize,
        /// Which of its axes.
        axis: usize,
    },
    /// Whatever is left; at most one.
    Rest,
}

/// Which windows [`Op::MeanPool`] takes the means of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MeanWindows {
    /// A window every `stride` pixels; zeros are added on each side and count.
    Sliding {
        /// Step.
        stride: usize,
        /// Zeros on each side.
        padding: usize,
    },
    /// Side by side; the last ones hold what is left.
    Tiles,
}

/// What a node does. Images are batch, channel, height, width (NCHW) in floats unless an op says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Op {
    /// Convolution.
    Conv(Conv),
    /// Batch normalisation.
    Norm(Norm),
    /// Layer normalisation, any rank.
    LayerNorm(LayerNorm),
    /// Linear map of the last axis, any rank.
    Linear(Linear),
    /// Pointwise non-linearity.
    Activation(Activation),
    /// max(x, 0) + slope·min(x, 0) with a learnt slope, of an image.
    PRelu {
        /// `[1]`, or `[channels]` for one a channel.
        slope: ParamId,
    },
    /// In training, makes whole units zero with probability `rate` and divides the others by 1 − rate; otherwise passes its input on.
    Dropout {
        /// In [0, 1).
        rate: f64,
        /// What is dropped as a whole.
        unit: DropUnit,
    },
    /// Product of the last two axes, `[…, rows, inner]` and `[…, inner, columns]`; the axes before are equal.
    MatMul,
    /// exp(x) / Σ exp(x) along an axis.
    Softmax {
        /// The axis.
        axis: usize,
    },
    /// Index of the largest value along an axis, as bytes, without that axis; of equal values the first.
    ArgMax {
        /// The axis, of at most 256.
        axis: usize,
    },
    /// a + b; an extent of 1 is repeated to match the other's.
    Add,
    /// a − b, likewise.
    Sub,
    /// a·b, likewise.
    Mul,
    /// scale·x + shift for every element, rounded after each of the two steps.
    Affine {
        /// Factor.
        scale: f64,
        /// Added to the product.
        shift: f64,
    },
    /// Limits every element.
    Clamp {
        /// Smallest result.
        min: f64,
        /// Largest result.
        max: f64,
    },
    /// Fixed floats; takes no input.
    Constant {
        /// Extents.
        shape: Vec<usize>,
        /// Row-major.
        values: Vec<f32>,
    },
    /// 0, 1, 2 … along an axis of the input, whose other extents become 1.
    Indices {
        /// The axis.
        axis: usize,
    },
    /// Joins any number of inputs along an axis.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Elements `start .. start + len` along an axis.
    Slice {
        /// The axis.
        axis: usize,
        /// First element.
        start: usize,
        /// How many.
        len: usize,
    },
    /// Other extents for the same elements in row-major order.
    Reshape {
        /// The extents.
        shape: Vec<Extent>,
    },
    /// Axes in another order.
    Permute {
        /// For each axis of the result the axis of the input.
        order: Vec<usize>,
    },
    /// Maximum over a window; the padding is never the maximum.
    MaxPool {
        /// Window height and width.
        kernel: usize,
        /// Step.
        stride: usize,
        /// On each side.
        padding: usize,
    },
    /// Mean over a window.
    MeanPool {
        /// Window height and width.
        kernel: usize,
        /// Where the windows lie.
        windows: MeanWindows,
    },
    /// Mean over all pixels of a channel: `[n, c, h, w]` to `[n, c, 1, 1]`.
    GlobalMean,
    /// Repeats every pixel `factor` times in both directions.
    UpsampleNearest {
        /// Whole number ≥ 1.
        factor: usize,
    },
    /// Bilinear resampling with half-pixel centres, clamped at the border, no low-pass filter.
    ResizeBilinear {
        /// Rows afterwards.
        height: usize,
        /// Columns afterwards.
        width: usize,
    },
    /// The same to the height and width of a second input.
    ResizeLike,
    /// Channels become pixels: channel `c·factor² + y·factor + x` is pixel (y, x) of every block of `factor`×`factor` pixels in channel
    /// c, as in PyTorch's op of this name.
    PixelShuffle {
        /// Whole number ≥ 1.
        factor: usize,
    },
    /// As many rows and columns as a second input has.
    Crop {
        /// Rows left out above.
        top: usize,
        /// Columns left out on the left.
        left: usize,
    },
    /// Constant border.
    Pad {
        /// Rows added above.
        top: usize,
        /// Rows added below.
        bottom: usize,
        /// Columns added on the left.
        left: usize,
        /// Columns added on the right.
        right: usize,
        /// Their value.
        value: f64,
    },
    /// Border of mirrored pixels; the edge pixel is the mirror and is not repeated, so a side of n takes at most n − 1 on
    /// each end.
    ReflectPad {
        /// Rows added above.
        top: usize,
        /// Rows added below.
        bottom: usize,
        /// Columns added on the left.
        left: usize,
        /// Columns added on the right.
        right: usize,
    },
    /// Fits an image of any size into a fixed one by the rule of [`caf_geometry::Letterbox::within`]: resampled as by
    /// [`Op::ResizeBilinear`] with its proportions kept, the rest filled, the smaller half of the rest above and on the left.
    Letterbox {
        /// Size afterwards.
        size: Size,
        /// Value of the border.
        value: f64,
    },
    /// Bytes 0–255 laid out NHWC → floats in [0, 1] laid out NCHW (a true division by 255).
    UnitFromBytes,
    /// Floats laid out NCHW → bytes laid out NHWC: clamped to [0, 1], times 255, rounded half to even.
    BytesFromUnit,
}

impl Op {
    /// Short name for messages and node labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Op::Conv(_) => "conv",
            Op::Norm(_) => "norm",
            Op::LayerNorm(_) => "layer_norm",
            Op::Linear(_) => "linear",
            Op::Activation(Activation::Relu) => "relu",
            Op::Activation(Activation::Silu) => "silu",
            Op::Activation(Activation::Tanh) => "tanh",
            Op::Activation(Activation::Sigmoid) => "sigmoid",
            Op::Activation(Activation::LeakyRelu { .. }) => "leaky_relu",
            Op::Activation(Activation::Gelu) => "gelu",
            Op::PRelu { .. } => "prelu",
            Op::Dropout { .. } => "dropout",
            Op::MatMul => "matmul",
            Op::Softmax { .. } => "softmax",
            Op::ArgMax { .. } => "arg_max",
            Op::Add => "add",
            Op::Sub => "sub",
            Op::Mul => "mul",
            Op::Affine { .. } => "affine",
            Op::Clamp { .. } => "clamp",
            Op::Constant { .. } => "constant",
            Op::Indices { .. } => "indices",
            Op::Concat { .. } => "concat",
            Op::Slice { .. } => "slice",
            Op::Reshape { .. } => "reshape",
            Op::Permute { .. } => "permute",
            Op::MaxPool { .. } => "max_pool",
            Op::MeanPool { .. } => "mean_pool",
            Op::GlobalMean => "global_mean",
            Op::UpsampleNearest { .. } => "upsample_nearest",
            Op::ResizeBilinear { .. } => "resize_bilinear",
            Op::ResizeLike => "resize_like",
            Op::PixelShuffle { .. } => "pixel_shuffle",
            Op::Crop { .. } => "crop",
            Op::Pad { .. } => "pad",
            Op::ReflectPad { .. } => "reflect_pad",
            Op::Letterbox { .. } => "letterbox",
            Op::UnitFromBytes => "unit_from_bytes",
            Op::BytesFromUnit => "bytes_from_unit",
        }
    }
}
