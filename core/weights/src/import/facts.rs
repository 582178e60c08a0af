//! What a checkpoint says about its network beside the tensors: class names, their number, the strides of a detector.
//!
//! YOLOv5 keeps them as attributes of the pickled module (`names` as a list, later as a dictionary from number to name; `nc`;
//! `stride`), mmsegmentation in an entry `meta` (`CLASSES`, later `dataset_meta`), trainings of one's own in entries beside the state.

use super::state::{Storages, tensor};
use super::value::{Program, Ref, Value};
use crate::error::ImportCause;
use crate::weights::Weights;

/// Metadata key of class names by number, a JSON list.
const CLASSES: &str = "classes";
/// Metadata key of the number of classes.
const CLASS_COUNT: &str = "class_count";
/// Metadata key of the strides of a detector's levels in pixels, a JSON list.
const STRIDES: &str = "strides_px";

/// Keys under which class names are found.
const NAMES: [&str; 4] = ["names", "classes", "class_names", "CLASSES"];
/// Most class names and most bytes of them all; the largest public label set has 21,841.
const MAX_CLASSES: usize = 50_000;
const MAX_BYTES: usize = 1 << 20;
/// Most levels of a detector.
const MAX_LEVELS: usize = 16;
/// Wrappers around a network (`DataParallel` and the like) that are looked through.
const MAX_WRAPPERS: usize = 4;

/// Writes what the checkpoint says into the metadata, and into `notes` what it says that cannot be true.
pub(super) fn describe(
    program: &Program,
    storages: &mut dyn Storages,
    network: Ref,
    weights: &mut Weights,
    notes: &mut Vec<String>,
) {
    let module = innermost(program, network);
    let attributes = program.attributes(module);
    let count = attributes.and_then(|at| program.entry(at, "nc")).and_then(|at| natural(program, at));
    if let Some(at) = names(program, attributes) {
        match (class_names(program, at), count) {
            (Err(what), _) => notes.push(format!("left out its class names: {what}")),
            (Ok(found), Some(count)) if found.len() != count => {
                notes.push(format!("left out its {} class names: it has {count} classes", found.len()));
            }
            (Ok(found), _) => weights.set_metadata(CLASSES, serde_json::json!(found).to_string()),
        }
    }
    if let Some(count) = count {
        weights.set_metadata(CLASS_COUNT, count.to_string());
    }
    if let Some(at) = attributes.and_then(|at| program.entry(at, "stride")) {
        let named = |what| ImportCause::Tensor { name: "stride".into(), what };
        let tensor = tensor(program, storages, at, named).ok().flatten();
        let strides = tensor.and_then(|t| t.to_f32_vec().ok()).unwrap_or_default();
        if (1..=MAX_LEVELS).contains(&strides.len()) && strides.iter().all(|s| s.is_finite() && *s > 0.0) {
            weights.set_metadata(STRIDES, serde_json::json!(strides).to_string());
        }
    }
}

/// The network inside wrappers whose only module is `module`.
fn innermost(program: &Program, network: Ref) -> Ref {
    let mut at = network;
    for _ in 0..MAX_WRAPPERS {
        let modules = program.attributes(at).and_then(|a| program.entry(a, "_modules"));
        match modules.map(|m| (program.pairs(m).len(), program.entry(m, "module"))) {
            Some((1, Some(inner))) => at = inner,
            _ => break,
        }
    }
    at
}

/// Where class names are: in the module, beside the state, or in the entry that describes the training.
fn names(program: &Program, attributes: Option<Ref>) -> Option<Ref> {
    let meta = program.entry(program.root, "meta");
    let of_data = |at: Option<Ref>| at.and_then(|at| program.entry(at, "dataset_meta"));
    let holders = [attributes, Some(program.root), meta, of_data(meta), of_data(Some(program.root))];
    let looks_like_names = |at: &Ref| matches!(program.get(*at), Value::List(_) | Value::Tuple(_) | Value::Dict(_));
    holders
        .into_iter()
        .flatten()
        .find_map(|holder| NAMES.iter().filter_map(|key| program.entry(holder, key)).find(looks_like_names))
}

/// Names by number, of a list or of a dictionary from 0, 1, … in any order.
fn class_names(program: &Program, at: Ref) -> Result<Vec<String>, String> {
    let listed: Vec<Ref> = match program.get(at) {
        Value::List(items) | Value::Tuple(items) => items.iter().take(MAX_CLASSES + 1).copied().collect(),
        _ => {
            let pairs = program.pairs(at);
            let mut numbered = Vec::new();
            for (key, name) in pairs.iter().take(MAX_CLASSES + 1) {
                numbered.push((natural(program, *key).ok_or("a class number is no integer from 0")?, *name));
            }
            // The last entry of a key counts, as in Python.
            numbered.reverse();
            numbered.sort_by_key(|(number, _)| *number);
            numbered.dedup_by_key(|(number, _)| *number);
            if let Some((wanted, (found, _))) = numbered.iter().enumerate().find(|(i, (number, _))| i != number) {
                return Err(format!("class {wanted} has none, the next is {found}"));
            }
            numbered.into_iter().map(|(_, name)| name).collect()
        }
    };
    if listed.is_empty() || listed.len() > MAX_CLASSES {
        return Err(format!("expected 1 to {MAX_CLASSES}"));
    }
    let mut bytes = 0;
    let mut names = Vec::with_capacity(listed.len());
    for (number, at) in listed.into_iter().enumerate() {
        let name = program.text(at).ok_or_else(|| format!("that of class {number} is no text"))?;
        bytes += name.len();
        if bytes > MAX_BYTES {
            return Err(format!("they have more than {MAX_BYTES} bytes"));
        }
        if name.trim().is_empty() || name.contains(char::is_control) {
            return Err(format!("that of class {number} is empty or has control characters"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn natural(program: &Program, at: Ref) -> Option<usize> {
    match program.get(at) {
        Value::Int(n) => usize::try_from(*n).ok(),
        _ => None,
    }
}
