//! Cutting and rearranging, and constants.

use super::site::Site;
use crate::error::ExportError;
use crate::proto::data_type;
use crate::writer::{Attr, Writer};
use caf_net::Extent;

pub(super) fn slice(w: &mut Writer, site: &Site<'_>, axis: usize, start: usize, len: usize) -> Result<(), ExportError> {
    let starts = w.ints(&site.inner("start"), &[start as i64])?;
    let ends = w.ints(&site.inner("end"), &[(start + len) as i64])?;
    let axes = w.ints(&site.inner("axis"), &[axis as i64])?;
    w.node("Slice", &[site.one()?, &starts, &ends, &axes], site.result(), &[])?;
    Ok(())
}

pub(super) fn permute(w: &mut Writer, site: &Site<'_>, order: &[usize]) -> Result<(), ExportError> {
    let order = order.iter().map(|axis| *axis as i64).collect();
    w.node("Transpose", &[site.one()?], site.result(), &[("perm", Attr::Ints(order))])?;
    Ok(())
}

/// One entry of a shape.
enum Entry {
    Known(i64),
    /// An extent of an input, known when the model runs.
    Runtime {
        input: usize,
        axis: usize,
    },
}

/// In the target of `Reshape` zero keeps the extent of that place, minus one takes what is left: with these two most shapes are
/// constants even where extents are open.
pub(super) fn reshape(w: &mut Writer, site: &Site<'_>, shape: &[Extent]) -> Result<(), ExportError> {
    let entry = |(place, extent): (usize, &Extent)| match *extent {
        Extent::Fixed(n) => Entry::Known(n as i64),
        Extent::Rest => Entry::Known(-1),
        Extent::Of { input, axis } => match site.extents(input).get(axis).copied().flatten() {
            Some(n) => Entry::Known(n as i64),
            None if input == 0 && axis == place => Entry::Known(0),
            None => Entry::Runtime { input, axis },
        },
    };
    let mut entries: Vec<Entry> = shape.iter().enumerate().map(entry).collect();
    if !shape.contains(&Extent::Rest)
        && let Some(last) = entries.iter_mut().rev().find(|e| matches!(e, Entry::Runtime { .. }))
    {
        *last = Entry::Known(-1);
    }
    let target = target(w, site, &entries)?;
    let x = site.inputs.first().copied().unwrap_or_default();
    w.node("Reshape", &[x, &target], site.result(), &[("allowzero", Attr::Int(0))])?;
    Ok(())
}

/// The shape as one value: a constant where everything is known, else joined from constants and extents.
fn target(w: &mut Writer, site: &Site<'_>, entries: &[Entry]) -> Result<String, ExportError> {
    let mut parts: Vec<String> = Vec::new();
    let mut known: Vec<i64> = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        match *entry {
            Entry::Known(n) => known.push(n),
            Entry::Runtime { input, axis } => {
                if !known.is_empty() {
                    parts.push(w.ints(&site.inner(&format!("shape.before.{place}")), &known)?);
                    known.clear();
                }
                let lender = site.inputs.get(input).copied().unwrap_or_default();
                let bounds = [("start", Attr::Int(axis as i64)), ("end", Attr::Int(axis as i64 + 1))];
                parts.push(w.node("Shape", &[lender], site.inner(&format!("shape.{place}")), &bounds)?);
            }
        }
    }
    if parts.is_empty() {
        return w.ints(&site.inner("shape"), &known);
    }
    if !known.is_empty() {
        parts.push(w.ints(&site.inner("shape.end"), &known)?);
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    w.node("Concat", &parts, site.inner("shape"), &[("axis", Attr::Int(0))])
}

/// A constant as the result of a node. One that leaves the graph, or is stored in less precision, has a name of its own, and a node gives
/// it that of the result.
pub(super) fn constant(w: &mut Writer, site: &Site<'_>, shape: &[usize], values: &[f32]) -> Result<(), ExportError> {
    let is_output = site.graph.outputs().iter().any(|o| o.value == site.node.output);
    let name = if is_output { site.inner("values") } else { site.result() };
    let stored = w.floats(&name, shape, values)?;
    if stored != site.output {
        w.node("Identity", &[&stored], site.result(), &[])?;
    }
    Ok(())
}

/// Counts along an axis: a constant where its extent is fixed.
pub(super) fn indices(w: &mut Writer, site: &Site<'_>, axis: usize) -> Result<(), ExportError> {
    let x = site.one()?;
    let extents = site.extents(0);
    let along = |count: i64| (0..extents.len()).map(|i| if i == axis { count } else { 1 }).collect::<Vec<i64>>();
    if let Some(count) = extents.get(axis).copied().flatten() {
        let shape: Vec<usize> = along(count as i64).into_iter().map(|n| n as usize).collect();
        let values: Vec<f32> = (0..count).map(|i| i as f32).collect();
        return constant(w, site, &shape, &values);
    }
    let bounds = [("start", Attr::Int(axis as i64)), ("end", Attr::Int(axis as i64 + 1))];
    let side = w.node("Shape", &[x], site.inner("side"), &bounds)?;
    let to = [("to", Attr::Int(data_type::FLOAT.into()))];
    let side = w.node("Cast", &[&side], site.inner("float"), &to)?;
    let side = w.node("Squeeze", &[&side], site.inner("scalar"), &[])?;
    let (zero, one) = (w.scalar(0.0)?, w.scalar(1.0)?);
    let count = w.node("Range", &[&zero, &side, &one], site.inner("count"), &[])?;
    let shape = w.ints(&site.inner("shape"), &along(-1))?;
    w.node("Reshape", &[&count, &shape], site.result(), &[("allowzero", Attr::Int(0))])?;
    Ok(())
}
