//! The interpreter.

use crate::error::TorchError;
use crate::mode::Mode;
use crate::norm::parts_of_batch;
use crate::ops::{Site, apply};
use crate::params::Params;
use crate::work::count_passes;
use caf_net::{Activation, Graph, Node, Op};
use tch::{TchError, Tensor};

/// Runs a graph.
///
/// `inputs` are in the order of [`Graph::inputs`], the result in that of [`Graph::outputs`]. Element types and layouts are those
/// of the graph; float inputs have the kind of the parameters. Intermediate tensors are dropped after their last use (autograd
/// keeps what it needs).
///
/// # Errors
/// When inputs or parameters are of another number, a normalisation by the batch's statistics sees a single value a channel, or
/// libtorch refuses an op; the message names the node.
pub fn forward(graph: &Graph, params: &Params, inputs: &[&Tensor], mode: Mode) -> Result<Vec<Tensor>, TorchError> {
    Ok(run(graph, params, inputs, mode, &[])?.0)
}

/// The output of a network that has one.
///
/// # Errors
/// When there is none, or several.
pub fn only(outputs: Vec<Tensor>) -> Result<Tensor, TorchError> {
    let [output] = <[Tensor; 1]>::try_from(outputs)
        .map_err(|outputs| TchError::Shape(format!("expected one output of the network, found {}", outputs.len())))?;
    Ok(output)
}

/// [`forward()`], and those of the values that are to be kept, without their record of derivatives; by index of the value.
pub(crate) fn run(
    graph: &Graph,
    params: &Params,
    inputs: &[&Tensor],
    mode: Mode,
    keep: &[bool],
) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>), TorchError> {
    if inputs.len() != graph.inputs().len() {
        return Err(TorchError::Inputs {
            graph: graph.name().to_owned(),
            expected: graph.inputs().len(),
            found: inputs.len(),
        });
    }
    params.require_graph(graph)?;
    let mut left = vec![0usize; graph.value_count()];
    let mut centred = vec![false; graph.value_count()];
    for node in graph.nodes().iter().filter(|node| matches!(node.op, Op::Norm(_)) && mode != Mode::Eval) {
        node.inputs.iter().for_each(|value| centred[value.index()] = true);
    }
    for value in graph.nodes().iter().flat_map(|n| &n.inputs).chain(graph.outputs().iter().map(|o| &o.value)) {
        left[value.index()] += 1;
    }
    let mut values: Vec<Option<Tensor>> = Vec::with_capacity(graph.value_count());
    values.extend(inputs.iter().map(|x| Some(x.shallow_clone())));
    let keep = |i: usize, x: &Tensor| match keep.get(i) {
        Some(true) => x.f_detach().map(Some),
        _ => Ok(None),
    };
    let mut kept = Vec::with_capacity(graph.value_count());
    for (i, input) in inputs.iter().enumerate() {
        kept.push(keep(i, input)?);
    }
    for node in graph.nodes() {
        let error = |source| TorchError::Op { op: node.op.kind(), node: node.name.clone(), source };
        let read: Vec<Tensor> =
            node.inputs.iter().filter_map(|v| values[v.index()].as_ref().map(Tensor::shallow_clone)).collect();
        for value in &node.inputs {
            left[value.index()] -= 1;
            if left[value.index()] == 0 {
                values[value.index()] = None;
            }
        }
        require_statistics(node, &read, mode)?;
        let output = node.output.index();
        // Only that: what else reads the value sees the bias.
        let is_centred = centred[output] && left[output] == 1;
        let site = Site { params, inputs: &read, mode, place: output, is_centred };
        let value = match read.first() {
            Some(x) if is_free(node, graph, &left, &kept) => x.shallow_clone().f_relu_().map_err(error)?,
            _ => apply(&node.op, &site).map_err(error)?,
        };
        kept.push(keep(values.len(), &value)?);
        values.push(Some(value));
    }
    let outputs: Vec<Tensor> = graph
        .outputs()
        .iter()
        .map(|output| {
            values[output.value.index()].as_ref().map(Tensor::shallow_clone).ok_or_else(|| TorchError::Op {
                op: "output",
                node: output.name.clone(),
                source: TchError::Shape("the value was released too early".to_owned()),
            })
        })
        .collect::<Result<_, TorchError>>()?;
    let images = inputs.first().and_then(|x| x.size().first().copied()).unwrap_or(1).cast_unsigned();
    let recorded = outputs.iter().any(Tensor::requires_grad);
    count_passes(graph.name(), |passes| {
        passes.forward += images;
        passes.backward += if recorded { images } else { 0 };
    });
    Ok((outputs, kept))
}

/// Whether a ReLU may overwrite what it reads: nobody else reads it, and the derivatives of the op that made it do not need it.
fn is_free(node: &Node, graph: &Graph, left: &[usize], kept: &[Option<Tensor>]) -> bool {
    let &[value] = node.inputs.as_slice() else { return false };
    let made_by = graph.producer(value).map(|node| &node.op);
    matches!(node.op, Op::Activation(Activation::Relu))
        && matches!(made_by, Some(Op::Conv(_) | Op::Norm(_)))
        && left.get(value.index()) == Some(&0)
        && kept.get(value.index()).is_some_and(Option::is_none)
}

/// One value has no variance: the running one would become 0 · 1/0, which is no number.
fn require_statistics(node: &Node, inputs: &[Tensor], mode: Mode) -> Result<(), TorchError> {
    let (Op::Norm(_), Mode::BatchStatistics | Mode::Train { .. }, Some(x)) = (&node.op, mode, inputs.first()) else {
        return Ok(());
    };
    let shape = x.size();
    let values: i64 = shape.iter().enumerate().filter(|(axis, _)| *axis != 1).map(|(_, extent)| extent).product();
    if values * parts_of_batch() as i64 > 1 {
        Ok(())
    } else {
        Err(TorchError::Statistics { node: node.name.clone(), shape })
    }
}
