//! Each op of `caf-net` as ONNX nodes.

mod colour;
mod conv;
mod geometry;
mod yolo;

use crate::error::ExportError;
use crate::params::Params;
use crate::writer::{Attr, Writer};
use caf_net::{Activation, Dim, Graph, Node, Norm, Op, TensorType};

/// One node on its way into an ONNX graph.
pub(crate) struct Site<'a> {
    pub graph: &'a Graph,
    pub params: &'a Params<'a>,
    pub node: &'a Node,
    /// A normalisation that is folded into this convolution.
    pub folded: Option<&'a Norm>,
    /// Names of the inputs' values.
    pub inputs: Vec<&'a str>,
    /// Name of the result.
    pub output: &'a str,
}

impl Site<'_> {
    fn one(&self) -> Result<&str, ExportError> {
        self.nth(0, 1)
    }

    fn nth(&self, i: usize, expected: usize) -> Result<&str, ExportError> {
        self.inputs.get(i).copied().filter(|_| self.inputs.len() == expected).ok_or_else(|| ExportError::Arity {
            op: self.node.op.kind(),
            node: self.node.name.clone(),
            expected,
            found: self.inputs.len(),
        })
    }

    /// Type of the first input.
    fn input_type(&self) -> Option<&TensorType> {
        self.node.inputs.first().map(|v| self.graph.type_of(*v))
    }

    /// Extents of the first input, where they are fixed.
    fn extents(&self) -> Vec<Option<usize>> {
        let fixed = |dim: &Dim| match dim {
            Dim::Fixed(n) => Some(*n),
            Dim::Named(_) | Dim::Any => None,
        };
        self.input_type().map(|t| t.dims.iter().map(fixed).collect()).unwrap_or_default()
    }

    /// Name of a value inside this node.
    fn inner(&self, part: &str) -> String {
        format!("{}/{part}", self.node.name)
    }

    fn result(&self) -> String {
        self.output.to_owned()
    }
}

/// Writes one node.
pub(crate) fn emit(w: &mut Writer, site: &Site<'_>) -> Result<(), ExportError> {
    match &site.node.op {
        Op::Conv(conv) => conv::conv(w, site, conv),
        Op::Norm(norm) => conv::norm(w, site, norm),
        Op::Activation(activation) => self::activation(w, site, *activation),
        Op::Concat | Op::ConcatRows => {
            w.node("Concat", &site.inputs, site.result(), &[("axis", Attr::Int(1))])?;
            Ok(())
        }
        Op::Add => {
            w.node("Add", &[site.nth(0, 2)?, site.nth(1, 2)?], site.result(), &[])?;
            Ok(())
        }
        Op::Channels { start, len } => geometry::channels(w, site, *start, *len),
        Op::MaxPool { kernel, stride, padding } => geometry::max_pool(w, site, *kernel, *stride, *padding),
        Op::UpsampleNearest { factor } => geometry::upsample_nearest(w, site, *factor),
        Op::ResizeBilinear { height, width } => geometry::resize_bilinear(w, site, *height, *width),
        Op::Pad { top, bottom, left, right, value } => geometry::pad(w, site, [*top, *bottom, *left, *right], *value),
        Op::ReflectPad { top, bottom, left, right } => geometry::reflect_pad(w, site, [*top, *bottom, *left, *right]),
        Op::Affine { scale, shift } => affine(w, site, *scale, *shift),
        Op::Clamp { min, max } => {
            let (min, max) = (w.scalar(*min)?, w.scalar(*max)?);
            w.node("Clip", &[site.one()?, &min, &max], site.result(), &[])?;
            Ok(())
        }
        Op::UnitFromBytes => colour::unit_from_bytes(w, site),
        Op::BytesFromUnit => colour::bytes_from_unit(w, site),
        Op::YcbcrFromRgb => colour::ycbcr_from_rgb(w, site),
        Op::RgbFromYcbcr => colour::rgb_from_ycbcr(w, site),
        Op::YoloDecode(level) => yolo::decode(w, site, level),
    }
}

fn affine(w: &mut Writer, site: &Site<'_>, scale: f64, shift: f64) -> Result<(), ExportError> {
    let (x, result) = (site.one()?, site.result());
    if shift == 0.0 {
        let scale = w.scalar(scale)?;
        w.node("Mul", &[x, &scale], result, &[])?;
        return Ok(());
    }
    let scaled = if scale == 1.0 {
        x.to_owned()
    } else {
        let scale = w.scalar(scale)?;
        w.node("Mul", &[x, &scale], site.inner("scaled"), &[])?
    };
    let shift = w.scalar(shift)?;
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
        // The operator set has no such op before version 24.
        Activation::Silu => {
            let gate = w.node("Sigmoid", &[x], site.inner("sigmoid"), &[])?;
            w.node("Mul", &[x, &gate], site.result(), &[])?
        }
    };
    Ok(())
}
