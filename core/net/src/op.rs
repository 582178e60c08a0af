//! The operations a graph is made of.

use crate::param::ParamId;
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

/// One output level of a YOLOv5 head.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct YoloLevel {
    /// Number of classes.
    pub classes: usize,
    /// Network-input pixels per cell.
    pub stride: usize,
    /// Width and height of each anchor in network-input pixels.
    pub anchors_px: Vec<[f64; 2]>,
}

/// What a node does. Images are batch, channel, height, width (NCHW) in floats unless an op says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Op {
    /// Convolution.
    Conv(Conv),
    /// Batch normalisation.
    Norm(Norm),
    /// Pointwise non-linearity.
    Activation(Activation),
    /// Joins any number of inputs along the channels.
    Concat,
    /// Sum of two inputs of equal shape.
    Add,
    /// Channels `start .. start + len`.
    Channels {
        /// First channel.
        start: usize,
        /// How many.
        len: usize,
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
    /// Bytes 0–255 laid out NHWC → floats in [0, 1] laid out NCHW (a true division by 255).
    UnitFromBytes,
    /// Floats laid out NCHW → bytes laid out NHWC: clamped to [0, 1], times 255, rounded half to even.
    BytesFromUnit,
    /// RGB in [0, 1] → full-range BT.601 Y, Cb, Cr (Cb, Cr centred on 0.5).
    YcbcrFromRgb,
    /// Inverse of [`Op::YcbcrFromRgb`]; not clamped.
    RgbFromYcbcr,
    /// One raw head level `[n, anchors·(5 + classes), ny, nx]` → rows `[n, anchors·ny·nx, 5 + classes]` of
    /// `cx cy w h objectness class…`, boxes in network-input pixels; rows run over anchors, then y, then x.
    YoloDecode(YoloLevel),
    /// Joins any number of `[n, rows, columns]` inputs along the rows.
    ConcatRows,
}

impl Op {
    /// Short name for messages and node labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Op::Conv(_) => "conv",
            Op::Norm(_) => "norm",
            Op::Activation(Activation::Relu) => "relu",
            Op::Activation(Activation::Silu) => "silu",
            Op::Activation(Activation::Tanh) => "tanh",
            Op::Activation(Activation::Sigmoid) => "sigmoid",
            Op::Activation(Activation::LeakyRelu { .. }) => "leaky_relu",
            Op::Concat => "concat",
            Op::Add => "add",
            Op::Channels { .. } => "channels",
            Op::MaxPool { .. } => "max_pool",
            Op::UpsampleNearest { .. } => "upsample_nearest",
            Op::ResizeBilinear { .. } => "resize_bilinear",
            Op::Pad { .. } => "pad",
            Op::ReflectPad { .. } => "reflect_pad",
            Op::Affine { .. } => "affine",
            Op::Clamp { .. } => "clamp",
            Op::UnitFromBytes => "unit_from_bytes",
            Op::BytesFromUnit => "bytes_from_unit",
            Op::YcbcrFromRgb => "ycbcr_from_rgb",
            Op::RgbFromYcbcr => "rgb_from_ycbcr",
            Op::YoloDecode(_) => "yolo_decode",
            Op::ConcatRows => "concat_rows",
        }
    }
}
