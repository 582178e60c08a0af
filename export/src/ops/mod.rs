//! Each op of `caf-net` as ONNX nodes.

mod layers;
mod pixels;
mod shapes;
mod site;

use crate::error::ExportError;
use crate::precision::{Range, Steps};
use crate::proto::data_type;
use crate::writer::{Attr, Writer};
use caf_net::{Activation, Op};

pub(crate) use site::Site;

/// Writes one node.
pub(crate) fn emit(w: &mut Writer, site: &Site<'_>) -> Result<(), ExportError> {
    match &site.node.op {
        Op::Conv(conv) => layers::conv(w, site, conv),
        Op::Norm(norm) => layers::norm(w, site, norm),
        Op::LayerNorm(norm) => layers::layer_norm(w, site, norm),
        Op::Linear(linear) => layers::linear(w, site, linear),
        Op::Activation(activation) => self::activation(w, site, *activation),
        Op::PRelu { slope } => layers::prelu(w, site, *slope),
        // Nothing is dropped in evaluation: the caller comes here only where the two values need two names.
        Op::Dropout { .. } => single(w, site, "Identity", &[site.one()?], &[]),
        Op::MatMul => single(w, site, "MatMul", &site.pair()?, &[]),
        Op::Softmax { axis } => single(w, site, "Softmax", &[site.one()?], &[("axis", Attr::Int(*axis as i64))]),
        Op::ArgMax { axis } => arg_max(w, site, *axis),
        Op::Add => single(w, site, "Add", &site.pair()?, &[]),
        Op::Sub => single(w, site, "Sub", &site.pair()?, &[]),
        Op::Mul => single(w, site, "Mul", &site.pair()?, &[]),
        Op::Affine { scale, shift } => affine(w, site, *scale, *shift),
        Op::Clamp { min, max } => {
            let (min, max) = (w.scalar(*min)?, w.scalar(*max)?);
            single(w, site, "Clip", &[site.one()?, &min, &max], &[])
        }
        Op::Constant { shape, values } => shapes::constant(w, site, shape, values),
        Op::Indices { axis } => shapes::indices(w, site, *axis),
        Op::Concat { axis } => single(w, site, "Concat", &site.inputs, &[("axis", Attr::Int(*axis as i64))]),
        Op::Slice { axis, start, len } => shapes::slice(w, site, *axis, *start, *len),
        Op::Reshape { shape } => shapes::reshape(w, site, shape),
        Op::Permute { order } => shapes::permute(w, site, order),
        Op::MaxPool { kernel, stride, padding } => pixels::max_pool(w, site, *kernel, *stride, *padding),
        Op::MeanPool { kernel, windows } => pixels::mean_pool(w, site, *kernel, *windows),
        Op::GlobalMean => single(w, site, "GlobalAveragePool", &[site.one()?], &[]),
        Op::UpsampleNearest { factor } => pixels::upsample_nearest(w, site, *factor),
        Op::ResizeBilinear { height, width } => pixels::resize_bilinear(w, site, *height, *width),
        Op::ResizeLike => pixels::resize_like(w, site),
        Op::PixelShuffle { factor } => {
            let attributes = [("blocksize", Attr::Int(*factor as i64)), ("mode", Attr::Text("CRD"))];
            single(w, site, "DepthToSpace", &[site.one()?], &attributes)
        }
        Op::Crop { top, left } => pixels::crop(w, site, [*top, *left]),
        Op::Pad { top, bottom, left, right, value } => pixels::pad(w, site, [*top, *bottom, *left, *right], *value),
        Op::ReflectPad { top, bottom, left, right } => pixels::reflect_pad(w, site, [*top, *bottom, *left, *right]),
        Op::Letterbox { size, value } => pixels::letterbox(w, site, *size, *value),
        Op::UnitFromBytes => pixels::unit_from_bytes(w, site),
        Op::BytesFromUnit => pixels::bytes_from_unit(w, site),
    }
}

/// An op that is one ONNX node.
fn single(
    w: &mut Writer,
    site: &Site<'_>,
    op: &'static str,
    inputs: &[&str],
    attributes: &[(&'static str, Attr)],
) -> Result<(), ExportError> {
    w.node(op, inputs, site.result(), attributes)?;
    Ok(())
}

fn arg_max(w: &mut Writer, site: &Site<'_>, axis: usize) -> Result<(), ExportError> {
    let attributes =
        [("axis", Attr::Int(axis as i64)), ("keepdims", Attr::Int(0)), ("select_last_index", Attr::Int(0))];
    let index = w.node("ArgMax", &[site.one()?], site.inner("index"), &attributes)?;
    single(w, site, "Cast", &[&index], &[("to", Attr::Int(data_type::UINT8.into()))])
}

fn affine(w: &mut Writer, site: &Site<'_>, scale: f64, shift: f64) -> Result<(), ExportError> {
    let (x, result) = (site.one()?, site.result());
    if shift == 0.0 {
        let scale = w.factor(scale)?;
        w.node("Mul", &[x, &scale], result, &[])?;
        return Ok(());
    }
    let scaled = if scale == 1.0 {
        x.to_owned()
    } else {
        let scale = w.factor(scale)?;
        w.node("Mul", &[x, &scale], site.inner("scaled"), &[])?
    };
    let shift = w.factor(shift)?;
    w.node("Add", &[&scaled, &shift], result, &[])?;
    Ok(())
}

fn activation(w: &mut Writer, site: &Site<'_>, activation: Activation) -> Result<(), ExportError> {
    let x = site.one()?;
    match activation {
        Activation::Relu => w.node("Relu", &[x], site.result(), &[])?,
        Activation::Tanh => w.node("Tanh", &[x], site.result(), &[])?,
        Activation::Sigmoid => w.node("Sigmoid", &[x], site.result(), &[])?,
        Activation::LeakyRelu { slope } => {
            w.node("LeakyRelu", &[x], site.result(), &[("alpha", Attr::Float(slope as f32))])?
        }
        // This pattern is what engines recognise; the operator set has no such op before version 20.
        Activation::Gelu => {
            let (root, one, half) = (w.scalar(std::f64::consts::SQRT_2)?, w.scalar(1.0)?, w.scalar(0.5)?);
            let scaled = w.node("Div", &[x, &root], site.inner("scaled"), &[])?;
            let erf = w.node("Erf", &[&scaled], site.inner("erf"), &[])?;
            let twice = w.node("Add", &[&erf, &one], site.inner("twice"), &[])?;
            let product = w.node("Mul", &[x, &twice], site.inner("product"), &[])?;
            w.node("Mul", &[&product, &half], site.result(), &[])?
        }
        // The operator set has no such op before version 24.
        Activation::Silu => {
            let mut gate = w.node("Sigmoid", &[x], site.inner("sigmoid"), &[])?;
            if let Some(plan) = site.int8 {
                let steps = Steps::over(Range { min: 0.0, max: 1.0 }, plan.settings().activations);
                gate = w.through_integers(&gate, site.inner("sigmoid.integers"), steps)?;
            }
            w.node("Mul", &[x, &gate], site.result(), &[])?
        }
    };
    Ok(())
}
