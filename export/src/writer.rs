//! The ONNX graph as it grows: nodes, constants and the names they share.

use crate::error::ExportError;
use crate::precision::{Activations, Kernel, Steps};
use crate::proto::{self, attribute_type, data_type};
use half::f16;
use std::collections::HashSet;

/// One attribute of an ONNX node.
#[derive(Clone, Debug)]
pub(crate) enum Attr {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Text(&'static str),
}

/// How constants of floats are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Floats {
    /// In single precision.
    #[default]
    Single,
    /// In half precision.
    Half,
    /// In single precision, rounded to half.
    Rounded,
}

/// Collects an ONNX graph.
#[derive(Default)]
pub(crate) struct Writer {
    /// How [`Writer::floats`] and [`Writer::scalar`] store.
    pub floats: Floats,
    /// The layer that is being written, for errors.
    pub layer: String,
    nodes: Vec<proto::Node>,
    initializers: Vec<proto::Tensor>,
    names: HashSet<String>,
}

impl Writer {
    /// Takes a name for a value; ONNX graphs allow each once.
    pub fn claim(&mut self, name: &str) -> Result<(), ExportError> {
        if self.names.insert(name.to_owned()) { Ok(()) } else { Err(ExportError::Name { name: name.to_owned() }) }
    }

    /// Adds a node with one output; returns the output's name.
    pub fn node(
        &mut self,
        op: &'static str,
        inputs: &[&str],
        output: String,
        attributes: &[(&'static str, Attr)],
    ) -> Result<String, ExportError> {
        self.nodes_out(op, inputs, &[&output], attributes)?;
        Ok(output)
    }

    /// Adds a node with any number of outputs.
    pub fn nodes_out(
        &mut self,
        op: &'static str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&'static str, Attr)],
    ) -> Result<(), ExportError> {
        for output in outputs {
            self.claim(output)?;
        }
        self.nodes.push(proto::Node {
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: outputs.iter().map(|s| (*s).to_owned()).collect(),
            name: outputs.first().map_or_else(String::new, |s| (*s).to_owned()),
            op_type: op.to_owned(),
            attribute: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
        });
        Ok(())
    }

    /// A constant of floats, stored as [`Writer::floats`] says.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<String, ExportError> {
        let half = |v: &f32| f16::from_f32(*v);
        let (suffix, kind, raw): (&str, i32, Vec<u8>) = match self.floats {
            Floats::Single => return self.singles(name, shape, values),
            Floats::Half => ("half", data_type::FLOAT16, values.iter().flat_map(|v| half(v).to_le_bytes()).collect()),
            Floats::Rounded => {
                ("rounded", data_type::FLOAT, values.iter().flat_map(|v| half(v).to_f32().to_le_bytes()).collect())
            }
        };
        // What is infinite in half precision only would spoil every result without a word.
        if let Some(value) = values.iter().find(|v| v.is_finite() && half(v).is_infinite()) {
            return Err(ExportError::Half { layer: self.layer.clone(), name: name.to_owned(), value: *value });
        }
        // Elsewhere the same constant may be used in single precision.
        self.constant(&format!("{name}/{suffix}"), shape.iter().map(|n| *n as i64).collect(), kind, raw)
    }

    /// A constant of floats in single precision, whatever the others are stored in.
    pub fn singles(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<String, ExportError> {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, shape.iter().map(|n| *n as i64).collect(), data_type::FLOAT, raw)
    }

    /// A constant list of integers.
    pub fn ints(&mut self, name: &str, values: &[i64]) -> Result<String, ExportError> {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, vec![values.len() as i64], data_type::INT64, raw)
    }

    /// A constant list of doubles.
    pub fn doubles(&mut self, name: &str, values: &[f64]) -> Result<String, ExportError> {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, vec![values.len() as i64], data_type::DOUBLE, raw)
    }

    /// A float without extents; equal values share one constant.
    pub fn scalar(&mut self, value: f64) -> Result<String, ExportError> {
        let value = value as f32;
        self.floats(&format!("scalar.{value}"), &[], &[value])
    }

    /// A float with one extent of 1, to be combined with every element of a value. ONNX Runtime (1.31) takes twenty times as long for one
    /// without extents where the last extent of the value is 1, as it is of gray images.
    pub fn factor(&mut self, value: f64) -> Result<String, ExportError> {
        let value = value as f32;
        self.floats(&format!("factor.{value}"), &[1], &[value])
    }

    /// Floats rounded to integers and back. The engine joins the two nodes with those before and behind them.
    pub fn through_integers(&mut self, from: &str, name: String, steps: Steps) -> Result<String, ExportError> {
        let scale = self.singles(&format!("{name}/scale"), &[], &[steps.scale])?;
        let (kind, zero) = match steps.element {
            Activations::U8 => (data_type::UINT8, steps.zero as u8),
            Activations::S8 => (data_type::INT8, (steps.zero as i8) as u8),
        };
        let zero = self.constant(&format!("{name}/zero"), vec![], kind, vec![zero])?;
        let stored = self.node("QuantizeLinear", &[from, &scale, &zero], format!("{name}/stored"), &[])?;
        self.node("DequantizeLinear", &[&stored, &scale, &zero], name, &[])
    }

    /// A kernel and its bias stored as integers with a scale for each output channel; names of both as floats.
    pub fn kernel(
        &mut self,
        name: &str,
        bias: &str,
        shape: &[usize],
        input_scale: f32,
        kernel: &Kernel,
    ) -> Result<(String, Option<String>), ExportError> {
        let channels = kernel.scales.len();
        let axis = [("axis", Attr::Int(0))];
        let dims = shape.iter().map(|n| *n as i64).collect();
        let bytes = kernel.weight.iter().map(|w| *w as u8).collect();
        let scales = self.singles(&format!("{name}/scales"), &[channels], &kernel.scales)?;
        let zeros =
            self.constant(&format!("{name}/zeros"), vec![channels as i64], data_type::INT8, vec![0; channels])?;
        let stored = self.constant(&format!("{name}/stored"), dims, data_type::INT8, bytes)?;
        let weight = self.node("DequantizeLinear", &[&stored, &scales, &zeros], name.to_owned(), &axis)?;
        let Some(values) = &kernel.bias else { return Ok((weight, None)) };
        let raw = |values: &[i32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let products: Vec<f32> = kernel.scales.iter().map(|s| s * input_scale).collect();
        let scales = self.singles(&format!("{bias}/scales"), &[channels], &products)?;
        let zeros = raw(&vec![0; channels]);
        let zeros = self.constant(&format!("{bias}/zeros"), vec![channels as i64], data_type::INT32, zeros)?;
        let stored = self.constant(&format!("{bias}/stored"), vec![channels as i64], data_type::INT32, raw(values))?;
        let bias = self.node("DequantizeLinear", &[&stored, &scales, &zeros], bias.to_owned(), &axis)?;
        Ok((weight, Some(bias)))
    }

    /// The same constant under the same name is stored once: a weight may be used in several places.
    fn constant(&mut self, name: &str, dims: Vec<i64>, kind: i32, raw_data: Vec<u8>) -> Result<String, ExportError> {
        let name = name.to_owned();
        let tensor = proto::Tensor { dims, data_type: kind, name: name.clone(), raw_data, ..proto::Tensor::default() };
        if self.names.contains(&name) && self.initializers.contains(&tensor) {
            return Ok(name);
        }
        self.claim(&name)?;
        self.initializers.push(tensor);
        Ok(name)
    }

    /// The finished graph.
    pub fn finish(self, name: &str, input: Vec<proto::ValueInfo>, output: Vec<proto::ValueInfo>) -> proto::Graph {
        proto::Graph { node: self.nodes, name: name.to_owned(), initializer: self.initializers, input, output }
    }
}

fn attribute(name: &str, value: &Attr) -> proto::Attribute {
    let mut attribute = proto::Attribute { name: name.to_owned(), ..proto::Attribute::default() };
    match value {
        Attr::Int(i) => {
            attribute.r#type = attribute_type::INT;
            attribute.i = Some(*i);
        }
        Attr::Ints(ints) => {
            attribute.r#type = attribute_type::INTS;
            attribute.ints.clone_from(ints);
        }
        Attr::Float(f) => {
            attribute.r#type = attribute_type::FLOAT;
            attribute.f = Some(*f);
        }
        Attr::Text(s) => {
            attribute.r#type = attribute_type::STRING;
            attribute.s = Some(s.as_bytes().to_vec());
        }
    }
    attribute
}
