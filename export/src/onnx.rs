//! A graph and its weights as an ONNX file.

use crate::error::ExportError;
use crate::fold::foldable;
use crate::forms::Forms;
use crate::ops::{Site, emit};
use crate::params::Params;
use crate::precision::{Arithmetic, Plan, layer_of};
use crate::proto::{self, data_type};
use crate::writer::{Floats, Writer};
use caf_contract::{Contract, METADATA_KEY};
use caf_net::{Dim, Element, Graph, Op, TensorType, Value};
use caf_weights::Weights;
use prost::Message;
use std::collections::{HashMap, HashSet};

/// How to write a graph.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// Put each normalisation into the convolution before it. Saves a pass over every feature map; the result differs by a
    /// rounding.
    pub fold: bool,
    /// The promise stored in the file's metadata; a file without one is for parity tests, no runtime takes it.
    pub contract: Option<Contract>,
    /// What the nodes compute in.
    pub plan: Plan,
}

impl Default for ExportOptions {
    fn default() -> Self {
        ExportOptions { fold: true, contract: None, plan: Plan::Single }
    }
}

/// The bytes of an ONNX file (operator set 17, IR version 8) that computes `graph` in evaluation mode.
///
/// Inputs and outputs have the graph's names, element types and extents, whatever the nodes between compute in; named extents stay
/// open. Weights are stored inside.
///
/// # Errors
/// [`ExportError::Weights`] with everything that does not fit, [`ExportError::Variance`], [`ExportError::Name`].
pub fn onnx(graph: &Graph, weights: &Weights, options: &ExportOptions) -> Result<Vec<u8>, ExportError> {
    let params = Params::new(graph, weights)?;
    let mut writer = Writer::default();
    for input in graph.inputs() {
        writer.claim(&input.name)?;
    }
    let names = value_names(graph);
    let name_of = |value: Value| names.get(value.index()).map_or("", String::as_str);
    let folds = if options.fold { foldable(graph) } else { HashMap::new() };
    let folded: HashSet<usize> = folds.values().map(|(_, norm_output)| norm_output.index()).collect();
    let shown = graph.outputs().iter().map(|o| name_of(o.value)).collect();
    let mut forms = Forms::new(&options.plan, graph.inputs().iter().map(|i| i.name.as_str()), shown);
    for node in graph.nodes() {
        if folded.contains(&node.output.index()) {
            continue;
        }
        let fold = folds.get(&node.output.index());
        // A folded convolution makes what the normalisation made.
        let result = fold.map_or(node.output, |(_, output)| *output);
        let output = name_of(result);
        // Nothing is dropped in evaluation, so that both values have one name unless both are outputs or inputs.
        if matches!((&node.op, node.inputs.as_slice()), (Op::Dropout { .. }, [x]) if name_of(*x) == output) {
            continue;
        }
        let arithmetic = options.plan.of(graph, node);
        let inputs = node.inputs.iter().map(|v| forms.read(&mut writer, *v, name_of(*v), arithmetic));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let target = forms.target(result, output, arithmetic);
        writer.floats = match arithmetic {
            Arithmetic::Single | Arithmetic::Int8 => Floats::Single,
            Arithmetic::Half if options.plan.imitates() => Floats::Rounded,
            Arithmetic::Half => Floats::Half,
        };
        layer_of(&node.name).clone_into(&mut writer.layer);
        let inputs = inputs.iter().map(String::as_str).collect();
        let (folded, int8) = (fold.map(|(norm, _)| *norm), options.plan.int8().filter(|plan| plan.reads(node)));
        let site = Site { graph, params: &params, node, folded, inputs, output: &target, int8 };
        emit(&mut writer, &site)?;
        writer.floats = Floats::Single;
        forms.made(&mut writer, result, output, arithmetic)?;
    }
    // One value under two names, or an input passed through.
    for output in graph.outputs() {
        let name = name_of(output.value);
        if name != output.name {
            let value = forms.read(&mut writer, output.value, name, Arithmetic::Single)?;
            writer.node("Identity", &[&value], output.name.clone(), &[])?;
        }
    }
    let inputs = graph.inputs().iter().map(|i| value_info(&i.name, graph.type_of(i.value))).collect();
    let outputs = graph.outputs().iter().map(|o| value_info(&o.name, graph.type_of(o.value))).collect();
    let mut metadata_props = Vec::new();
    if let Some(contract) = &options.contract {
        metadata_props.push(proto::Entry { key: METADATA_KEY.to_owned(), value: contract.to_json()? });
    }
    let model = proto::Model {
        ir_version: proto::IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(writer.finish(graph.name(), inputs, outputs)),
        opset_import: vec![proto::OperatorSet { domain: String::new(), version: proto::OPSET }],
        metadata_props,
    };
    Ok(model.encode_to_vec())
}

/// A name for each value: inputs keep theirs, outputs get theirs, what dropout passes on has the name of what it reads, the rest
/// are called after their node.
fn value_names(graph: &Graph) -> Vec<String> {
    let reserved: HashSet<&str> =
        graph.inputs().iter().map(|i| i.name.as_str()).chain(graph.outputs().iter().map(|o| o.name.as_str())).collect();
    let mut shown: HashMap<usize, &str> = HashMap::new();
    for output in graph.outputs() {
        shown.entry(output.value.index()).or_insert(&output.name);
    }
    let mut names: Vec<String> = graph.inputs().iter().map(|i| i.name.clone()).collect();
    for node in graph.nodes() {
        let passed_on = match (&node.op, node.inputs.as_slice()) {
            (Op::Dropout { .. }, [x]) => names.get(x.index()).cloned(),
            _ => None,
        };
        names.push(match (shown.get(&node.output.index()), passed_on) {
            (Some(name), _) => (*name).to_owned(),
            (None, Some(name)) => name,
            (None, None) if reserved.contains(node.name.as_str()) => format!("{}/value", node.name),
            (None, None) => node.name.clone(),
        });
    }
    names
}

fn value_info(name: &str, ty: &TensorType) -> proto::ValueInfo {
    let extent = |dim: &Dim| match dim {
        Dim::Fixed(n) => Some(proto::Extent::Fixed(*n as i64)),
        Dim::Named(name) => Some(proto::Extent::Named(name.clone())),
        Dim::Shifted { .. } | Dim::Any => None,
    };
    let elem_type = match ty.element {
        Element::F32 => data_type::FLOAT,
        Element::U8 => data_type::UINT8,
    };
    let dim = ty.dims.iter().map(|d| proto::Dimension { value: extent(d) }).collect();
    let tensor_type = proto::TensorType { elem_type, shape: Some(proto::Shape { dim }) };
    proto::ValueInfo { name: name.to_owned(), r#type: Some(proto::Type { tensor_type: Some(tensor_type) }) }
}
