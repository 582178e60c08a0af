//! Each op of `caf-net` on libtorch.

use crate::conv::{Window, convolve};
use crate::mode::{Mode, unit};
use crate::norm;
use crate::params::Params;
use caf_geometry::{Letterbox, Size};
use caf_net::{Activation, Conv, DropUnit, Extent, LayerNorm, Linear, MeanWindows, Op};
use tch::{Kind, TchError, Tensor};

/// One node on its way through libtorch.
pub(crate) struct Site<'a> {
    pub params: &'a Params,
    pub inputs: &'a [Tensor],
    pub mode: Mode,
    /// Which node it is: dropout in different places drops differently.
    pub place: usize,
    /// Whether a normalisation by the statistics of the batch follows at once and takes out what is added to a channel: the derivative
    /// by a bias is zero then, and not worth a pass over the derivative by the result.
    pub is_centred: bool,
}

impl Site<'_> {
    fn nth(&self, i: usize) -> Result<&Tensor, TchError> {
        self.inputs
            .get(i)
            .ok_or_else(|| TchError::Shape(format!("{} inputs expected, found {}", i + 1, self.inputs.len())))
    }

    /// Floats in the kind and on the device of the parameters, or of the input where there is one.
    fn options(&self) -> (Kind, tch::Device) {
        match self.inputs.first() {
            Some(x) => (x.kind(), x.device()),
            None => (self.params.kind(), self.params.device()),
        }
    }
}

/// The result of one op.
pub(crate) fn apply(op: &Op, site: &Site<'_>) -> Result<Tensor, TchError> {
    let x = || site.nth(0);
    match op {
        Op::Conv(conv) => apply_conv(conv, site, x()?),
        Op::Norm(norm) => norm::apply(norm, site.params, x()?, site.mode),
        Op::LayerNorm(norm) => layer_norm(norm, site.params, x()?),
        Op::Linear(linear) => apply_linear(linear, site.params, x()?),
        Op::Activation(activation) => activate(*activation, x()?),
        Op::PRelu { slope } => x()?.f_prelu(site.params.get(*slope)),
        Op::Dropout { rate, unit } => dropout(site, *rate, *unit, x()?),
        Op::MatMul => x()?.f_matmul(site.nth(1)?),
        Op::Softmax { axis } => x()?.f_softmax(*axis as i64, None::<Kind>),
        Op::ArgMax { axis } => x()?.f_argmax(*axis as i64, false)?.f_to_kind(Kind::Uint8),
        Op::Add => x()?.f_add(site.nth(1)?),
        Op::Sub => x()?.f_sub(site.nth(1)?),
        Op::Mul => x()?.f_mul(site.nth(1)?),
        Op::Affine { scale, shift } => affine(x()?, *scale, *shift),
        Op::Clamp { min, max } => x()?.f_clamp(*min, *max),
        Op::Constant { shape, values } => {
            let (kind, device) = site.options();
            let shape: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
            Tensor::f_from_slice(values)?.f_view(shape.as_slice())?.f_to_kind(kind)?.f_to_device(device)
        }
        Op::Indices { axis } => {
            let x = x()?;
            let mut shape = vec![1; x.dim()];
            let count = extent(x, *axis)?;
            if let Some(side) = shape.get_mut(*axis) {
                *side = count;
            }
            Tensor::f_arange(count, site.options())?.f_view(shape.as_slice())
        }
        Op::Concat { axis } => Tensor::f_cat(site.inputs, *axis as i64),
        Op::Slice { axis, start, len } => x()?.f_narrow(*axis as i64, *start as i64, *len as i64),
        Op::Reshape { shape } => {
            let side = |part: &Extent| match *part {
                Extent::Fixed(n) => Ok(n as i64),
                Extent::Of { input, axis } => extent(site.nth(input)?, axis),
                Extent::Rest => Ok(-1),
            };
            x()?.f_reshape(shape.iter().map(side).collect::<Result<Vec<i64>, TchError>>()?)
        }
        Op::Permute { order } => x()?.f_permute(order.iter().map(|axis| *axis as i64).collect::<Vec<_>>()),
        Op::MaxPool { kernel, stride, padding } => {
            let [kernel, stride, padding] = [*kernel, *stride, *padding].map(|v| [v as i64; 2]);
            x()?.f_max_pool2d(kernel, stride, padding, [1, 1], false)
        }
        Op::MeanPool { kernel, windows } => {
            // Zeros that are added count, so that the whole window divides; at the end of tiles what is there does.
            let (stride, padding, is_tiled) = match windows {
                MeanWindows::Sliding { stride, padding } => (*stride, *padding, false),
                MeanWindows::Tiles => (*kernel, 0, true),
            };
            let [kernel, stride, padding] = [*kernel, stride, padding].map(|v| [v as i64; 2]);
            x()?.f_avg_pool2d(kernel, stride, padding, is_tiled, !is_tiled, None::<i64>)
        }
        Op::GlobalMean => x()?.f_mean_dim([2i64, 3].as_slice(), true, None::<Kind>),
        Op::UpsampleNearest { factor } => {
            let x = x()?;
            let (_, _, h, w) = x.size4()?;
            x.f_upsample_nearest2d([h * *factor as i64, w * *factor as i64], None, None)
        }
        Op::ResizeBilinear { height, width } => resize(x()?, [*height as i64, *width as i64]),
        Op::ResizeLike => {
            let (_, _, h, w) = site.nth(1)?.size4()?;
            resize(x()?, [h, w])
        }
        Op::PixelShuffle { factor } => x()?.f_pixel_shuffle(*factor as i64),
        Op::Crop { top, left } => {
            let (_, _, h, w) = site.nth(1)?.size4()?;
            x()?.f_narrow(2, *top as i64, h)?.f_narrow(3, *left as i64, w)
        }
        Op::Pad { top, bottom, left, right, value } => pad(x()?, [*left, *right, *top, *bottom], *value),
        Op::ReflectPad { top, bottom, left, right } => {
            x()?.f_reflection_pad2d([*left, *right, *top, *bottom].map(|v| v as i64))
        }
        Op::Letterbox { size, value } => letterbox(x()?, *size, *value),
        Op::UnitFromBytes => x()?.f_permute([0, 3, 1, 2])?.f_to_kind(site.params.kind())?.f_div_scalar(255.0),
        Op::BytesFromUnit => x()?
            .f_clamp(0.0, 1.0)?
            .f_mul_scalar(255.0)?
            .f_round()?
            .f_to_kind(Kind::Uint8)?
            .f_permute([0, 2, 3, 1])?
            .f_contiguous(),
    }
}

fn extent(x: &Tensor, axis: usize) -> Result<i64, TchError> {
    x.size().get(axis).copied().ok_or_else(|| TchError::Shape(format!("axis {axis} of {:?}", x.size())))
}

fn apply_conv(conv: &Conv, site: &Site<'_>, x: &Tensor) -> Result<Tensor, TchError> {
    let bias = conv.bias.map(|id| site.params.get(id));
    let bias = bias.map(|bias| if site.is_centred { bias.f_detach() } else { Ok(bias.shallow_clone()) }).transpose()?;
    convolve(x, site.params.get(conv.weight), bias.as_ref(), &window(conv))
}

/// How the kernel of a convolution moves.
pub(crate) fn window(conv: &Conv) -> Window {
    let wide = |v: [usize; 2]| v.map(|n| n as i64);
    Window {
        stride: wide(conv.stride),
        padding: wide(conv.padding),
        dilation: wide(conv.dilation),
        groups: conv.groups as i64,
    }
}

fn layer_norm(norm: &LayerNorm, params: &Params, x: &Tensor) -> Result<Tensor, TchError> {
    let weight = params.get(norm.weight);
    x.f_layer_norm(weight.size(), Some(weight), Some(params.get(norm.bias)), norm.eps, false)
}

fn apply_linear(linear: &Linear, params: &Params, x: &Tensor) -> Result<Tensor, TchError> {
    x.f_linear(params.get(linear.weight), linear.bias.map(|id| params.get(id)))
}

fn activate(activation: Activation, x: &Tensor) -> Result<Tensor, TchError> {
    match activation {
        Activation::Relu => x.f_relu(),
        Activation::Silu => x.f_silu(),
        Activation::Tanh => x.f_tanh(),
        Activation::Sigmoid => x.f_sigmoid(),
        // Written with the two parts, as the binding's own function takes no slope.
        Activation::LeakyRelu { slope } => x.f_relu()?.f_add(&x.f_clamp_max(0.0)?.f_mul_scalar(slope)?),
        Activation::Gelu => x.f_gelu("none"),
    }
}

/// What is dropped is drawn on the host, so that every device drops the same.
fn dropout(site: &Site<'_>, rate: f64, drop: DropUnit, x: &Tensor) -> Result<Tensor, TchError> {
    let Mode::Train { seed } = site.mode else { return Ok(x.shallow_clone()) };
    let axes = match drop {
        DropUnit::Sample => 1,
        DropUnit::Channel => 2,
        DropUnit::Element => x.dim(),
    };
    let mut shape = x.size();
    for side in shape.iter_mut().skip(axes) {
        *side = 1;
    }
    let units: i64 = shape.iter().product();
    let kept = 1.0 / (1.0 - rate);
    // Of the whole batch: a sample is dropped or not whichever rank has it.
    let first = units as u64 * caf_ranks::rank() as u64;
    let draw = |i: i64| if unit([seed, site.place as u64, first + i as u64]) < rate { 0.0 } else { kept };
    let factors = Tensor::f_from_slice(&(0..units).map(draw).collect::<Vec<f64>>())?;
    x.f_mul(&factors.f_view(shape.as_slice())?.f_to_kind(x.kind())?.f_to_device(x.device())?)
}

fn affine(x: &Tensor, scale: f64, shift: f64) -> Result<Tensor, TchError> {
    let y = if scale == 1.0 { x.shallow_clone() } else { x.f_mul_scalar(scale)? };
    if shift == 0.0 { Ok(y) } else { y.f_add_scalar(shift) }
}

fn resize(x: &Tensor, [height, width]: [i64; 2]) -> Result<Tensor, TchError> {
    x.f_upsample_bilinear2d([height, width], false, None, None)
}

/// Columns left, columns right, rows above, rows below.
fn pad(x: &Tensor, borders: [usize; 4], value: f64) -> Result<Tensor, TchError> {
    x.f_pad(borders.map(|v| v as i64), "constant", value)
}

fn letterbox(x: &Tensor, size: Size, value: f64) -> Result<Tensor, TchError> {
    let (_, _, h, w) = x.size4()?;
    let fit = Letterbox::within(Size::new(w as usize, h as usize), size)
        .map_err(|error| TchError::Shape(error.to_string()))?;
    let Size { width, height } = fit.resized;
    let resized = if (height as i64, width as i64) == (h, w) {
        x.shallow_clone()
    } else {
        resize(x, [height as i64, width as i64])?
    };
    let ((left, right), (top, bottom)) = (fit.left_right, fit.top_bottom);
    if [left, right, top, bottom] == [0; 4] { Ok(resized) } else { pad(&resized, [left, right, top, bottom], value) }
}
