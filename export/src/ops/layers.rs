//! Ops with parameters.

use super::site::Site;
use crate::error::ExportError;
use crate::fold::{ConvValues, fold};
use crate::precision::Kernel;
use crate::writer::{Attr, Writer};
use caf_net::{Conv, LayerNorm, Linear, Norm, ParamId};

pub(super) fn conv(w: &mut Writer, site: &Site<'_>, conv: &Conv) -> Result<(), ExportError> {
    let spec = site.params.spec(conv.weight);
    let outputs = spec.shape.first().copied().unwrap_or(0);
    let (weight, bias) = match site.folded {
        None => (site.params.f32(conv.weight)?, conv.bias.map(|id| site.params.f32(id)).transpose()?),
        Some(norm) => {
            let bias = match conv.bias {
                Some(id) => site.params.f64(id)?,
                None => vec![0.0; outputs],
            };
            let values = ConvValues { weight: site.params.f64(conv.weight)?, bias };
            let folded = fold(&site.node.name, values, &site.params.norm(norm)?)?;
            let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<f32>>();
            (single(folded.weight), Some(single(folded.bias)))
        }
    };
    let bias_name = conv.bias.map_or_else(|| site.inner("bias"), |id| site.params.spec(id).name.clone());
    let int8 = site.int8.zip(site.node.inputs.first()).and_then(|(plan, x)| Some((plan, plan.steps(*x)?.scale)));
    let (weight, bias) = match int8 {
        Some((plan, scale)) => {
            let kernel = Kernel::new(&weight, bias.as_deref(), outputs, scale, plan.settings().most_weight);
            // Under the node's name: steps of a bias are those of what this node reads, wherever else its weights are used.
            w.kernel(&site.inner("weight"), &site.inner("bias"), &spec.shape, scale, &kernel)?
        }
        None => {
            let weight = w.floats(&spec.name, &spec.shape, &weight)?;
            (weight, bias.map(|values| w.floats(&bias_name, &[outputs], &values)).transpose()?)
        }
    };
    let mut inputs = vec![site.one()?, &weight];
    inputs.extend(bias.as_deref());
    let pair = |v: [usize; 2]| v.map(|n| n as i64).to_vec();
    let kernel = spec.shape.iter().skip(2).map(|n| *n as i64).collect();
    let attributes = [
        ("kernel_shape", Attr::Ints(kernel)),
        ("strides", Attr::Ints(pair(conv.stride))),
        ("pads", Attr::Ints([pair(conv.padding), pair(conv.padding)].concat())),
        ("dilations", Attr::Ints(pair(conv.dilation))),
        ("group", Attr::Int(conv.groups as i64)),
    ];
    w.node("Conv", &inputs, site.result(), &attributes)?;
    Ok(())
}

pub(super) fn norm(w: &mut Writer, site: &Site<'_>, norm: &Norm) -> Result<(), ExportError> {
    // Refuses what folding would refuse.
    let values = site.params.norm(norm)?;
    let channels = values.scale.len();
    fold(&site.node.name, ConvValues { weight: vec![0.0; channels], bias: vec![0.0; channels] }, &values)?;
    let mut inputs = vec![site.one()?.to_owned()];
    for id in [norm.weight, norm.bias, norm.running_mean, norm.running_var] {
        let spec = site.params.spec(id);
        inputs.push(w.floats(&spec.name, &spec.shape, &site.params.f32(id)?)?);
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let attributes = [
        ("epsilon", Attr::Float(norm.eps as f32)),
        // Share of the old statistics, the other way round than in the graph; without effect in evaluation.
        ("momentum", Attr::Float((1.0 - norm.momentum) as f32)),
        ("training_mode", Attr::Int(0)),
    ];
    w.node("BatchNormalization", &inputs, site.result(), &attributes)?;
    Ok(())
}

/// The operator repeats the slope from the right: one a channel needs two more extents.
pub(super) fn prelu(w: &mut Writer, site: &Site<'_>, slope: ParamId) -> Result<(), ExportError> {
    let spec = site.params.spec(slope);
    let slope = w.floats(&spec.name, &[spec.len(), 1, 1], &site.params.f32(slope)?)?;
    w.node("PRelu", &[site.one()?, &slope], site.result(), &[])?;
    Ok(())
}

pub(super) fn layer_norm(w: &mut Writer, site: &Site<'_>, norm: &LayerNorm) -> Result<(), ExportError> {
    let mut inputs = vec![site.one()?.to_owned()];
    for id in [norm.weight, norm.bias] {
        let spec = site.params.spec(id);
        inputs.push(w.floats(&spec.name, &spec.shape, &site.params.f32(id)?)?);
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let attributes = [("axis", Attr::Int(-1)), ("epsilon", Attr::Float(norm.eps as f32))];
    w.node("LayerNormalization", &inputs, site.result(), &attributes)?;
    Ok(())
}

/// A product with the transposed matrix, stored so, and a sum: inputs of any rank, unlike `Gemm`.
pub(super) fn linear(w: &mut Writer, site: &Site<'_>, linear: &Linear) -> Result<(), ExportError> {
    let spec = site.params.spec(linear.weight);
    let [outputs, inputs] = [0, 1].map(|axis| spec.shape.get(axis).copied().unwrap_or(0));
    let rows = site.params.f32(linear.weight)?;
    let column = |i: usize| rows.iter().skip(i).step_by(inputs.max(1)).copied();
    let transposed: Vec<f32> = (0..inputs).flat_map(column).collect();
    let weight = w.floats(&spec.name, &[inputs, outputs], &transposed)?;
    let Some(bias) = linear.bias else {
        w.node("MatMul", &[site.one()?, &weight], site.result(), &[])?;
        return Ok(());
    };
    let product = w.node("MatMul", &[site.one()?, &weight], site.inner("product"), &[])?;
    let spec = site.params.spec(bias);
    let bias = w.floats(&spec.name, &spec.shape, &site.params.f32(bias)?)?;
    w.node("Add", &[&product, &bias], site.result(), &[])?;
    Ok(())
}
