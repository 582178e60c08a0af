//! The ONNX graph as it grows: nodes, constants and the names they share.

use crate::error::ExportError;
use crate::proto::{self, attribute_type, data_type};
use std::collections::{HashMap, HashSet};

/// One attribute of an ONNX node.
#[derive(Clone, Debug)]
pub(crate) enum Attr {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Text(&'static str),
}

/// Collects an ONNX graph.
#[derive(Default)]
pub(crate) struct Writer {
    nodes: Vec<proto::Node>,
    initializers: Vec<proto::Tensor>,
    names: HashSet<String>,
    scalars: HashMap<u32, String>,
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

    /// A constant of floats.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<String, ExportError> {
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
        if let Some(name) = self.scalars.get(&value.to_bits()) {
            return Ok(name.clone());
        }
        let name = self.floats(&format!("scalar.{value}"), &[], &[value])?;
        self.scalars.insert(value.to_bits(), name.clone());
        Ok(name)
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
