//! From what the pickle built to named tensors, in the order and with the names of `state_dict`.
//!
//! A module's own `_parameters` come first, then its `_buffers` (without those listed as not persistent), then its
//! `_modules`, each under its name and a dot. Entries that are none are skipped.

use super::gather::gather;
use super::value::{MAX_NAME, Program, Ref, Value};
use crate::error::{ImportCause, short};
use crate::tensor::HostTensor;
use crate::weights::Weights;
use std::collections::HashSet;
use std::rc::Rc;

/// How to read a checkpoint.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Which entry of the checkpoint's dictionary holds the network. `None`: the only one that does, and `ema` before
    /// `model` where both do, as YOLOv5 itself chooses.
    pub entry: Option<String>,
    /// Removed from the front of every name. `None`: what wrappers of a training put there (`module.`, `_orig_mod.`), where every
    /// name has it.
    pub strip_prefix: Option<String>,
    /// Keep half and double precision as they are; otherwise every float becomes F32.
    pub keep_types: bool,
}

/// Tensors of a checkpoint under their names in it.
pub(super) struct State {
    /// In the order of `state_dict`.
    pub weights: Weights,
    /// The network or its state in the pickle.
    pub root: Ref,
    /// The dictionary entry that is.
    pub entry: Option<String>,
    /// Names that hold no tensor.
    pub ignored: Vec<String>,
}

/// Where the bytes of storages come from.
pub(super) trait Storages {
    /// All bytes of one storage.
    fn bytes(&mut self, key: &str) -> Result<Rc<[u8]>, ImportCause>;
}

/// Modules nest less deep than this.
const MAX_DEPTH: u64 = 128;
/// Dictionary entries looked at; a module that is its own ancestor many times over would have more.
const MAX_STEPS: u64 = 10_000_000;
/// Tensors of a network, and entries that are none.
const MAX_TENSORS: u64 = 100_000;
/// Bytes of all their names: modules may share names and each other, so that the pickle's length bounds nothing here.
const MAX_NAMES: u64 = 16 << 20;
/// Bytes of all tensors together, as a multiple of the file: shared storages may count more than once.
const MAX_GROWTH: u64 = 4;
/// Entries of a checkpoint that are searched for a network, and of a dictionary for its first tensor.
const MAX_SEARCH: usize = 4096;
/// Entries that a message names.
const MAX_LISTED: usize = 20;

/// Finds the network in the checkpoint and takes its tensors.
pub(super) fn collect(
    program: &Program,
    storages: &mut dyn Storages,
    file_len: u64,
    options: &ImportOptions,
) -> Result<State, ImportCause> {
    let (root, entry) = choose(program, options.entry.as_deref())?;
    let mut walk = Walk { program, found: Vec::new(), ignored: Vec::new(), steps: 0, names: 0 };
    if program.attributes(root).is_some() {
        walk.module(root, "", 0)?;
    } else {
        walk.state(root)?;
    }
    let Walk { found, ignored, .. } = walk;
    let mut weights = Weights::new();
    let mut total = 0u64;
    let limit = file_len.saturating_mul(MAX_GROWTH);
    for (name, at) in found {
        let name = match options.strip_prefix.as_deref() {
            Some(prefix) => name.strip_prefix(prefix).unwrap_or(&name).to_owned(),
            None => name,
        };
        let named = |what: String| ImportCause::Tensor { name: short(&name), what };
        let Some(tensor) = tensor(program, storages, at, named)? else { continue };
        total = total.saturating_add(tensor.bytes().len() as u64);
        ImportCause::at_most("bytes of all tensors", total, limit)?;
        let tensor = if options.keep_types { tensor } else { tensor.widened() };
        if weights.get(&name).is_some() {
            return Err(ImportCause::Tensor { name: short(&name), what: "it occurs twice".into() });
        }
        weights.insert(name, tensor).map_err(|e| ImportCause::Archive(e.to_string()))?;
    }
    Ok(State { weights, root, entry, ignored })
}

/// One tensor with its values, `None` where the value is no tensor. `named` makes its error.
pub(super) fn tensor(
    program: &Program,
    storages: &mut dyn Storages,
    at: Ref,
    named: impl Fn(String) -> ImportCause,
) -> Result<Option<HostTensor>, ImportCause> {
    let Value::Tensor(view) = program.get(at) else { return Ok(None) };
    let Value::Storage(storage) = program.get(view.storage) else { return Ok(None) };
    let Some(dtype) = storage.dtype else {
        return Err(named("its storage has no element type".into()));
    };
    let bytes = storages.bytes(&storage.key)?;
    let expected = storage.len.checked_mul(dtype.size() as u64);
    if expected != Some(bytes.len() as u64) {
        let (len, key, found) = (storage.len, short(&storage.key), bytes.len());
        return Err(named(format!("storage `{key}` should hold {len} {dtype} elements, found {found} bytes")));
    }
    gather(view, dtype, &bytes).map(Some).map_err(named)
}

/// The network itself: the root, or one entry of it.
fn choose(program: &Program, wanted: Option<&str>) -> Result<(Ref, Option<String>), ImportCause> {
    let root = program.root;
    let entries: Vec<(&str, Ref)> = program.first_entries(root, MAX_SEARCH).collect();
    let candidates: Vec<(&str, Ref)> = entries.iter().copied().filter(|(_, at)| holds_network(program, *at)).collect();
    let fail = |what: String| ImportCause::Entry {
        what,
        asked: wanted.is_some(),
        candidates: list(&candidates),
        present: list(&entries),
    };
    if let Some(wanted) = wanted {
        return match candidates.iter().find(|(key, _)| *key == wanted) {
            Some((key, at)) => Ok((*at, Some((*key).to_owned()))),
            None => Err(fail(format!("no entry `{wanted}` that holds a network"))),
        };
    }
    if holds_network(program, root) {
        return Ok((root, None));
    }
    match candidates.as_slice() {
        [(key, at)] => return Ok((*at, Some((*key).to_owned()))),
        [] => return Err(fail("the checkpoint holds no tensors under names".into())),
        _ => {}
    }
    if candidates.iter().any(|(key, _)| *key == "model")
        && let Some((key, at)) = candidates.iter().find(|(key, _)| *key == "ema")
    {
        return Ok((*at, Some((*key).to_owned())));
    }
    Err(fail("more than one entry holds a network: name one".into()))
}

/// Entries for a message.
fn list(entries: &[(&str, Ref)]) -> String {
    let shown: Vec<_> = entries.iter().take(MAX_LISTED).map(|(key, _)| format!("`{}`", short(key))).collect();
    match entries.len() - shown.len() {
        0 if shown.is_empty() => "none".into(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A module, or a dictionary with a tensor directly in it.
fn holds_network(program: &Program, at: Ref) -> bool {
    if let Some(attributes) = program.attributes(at) {
        return program.first_entries(attributes, MAX_SEARCH).any(|(key, _)| key == "_modules");
    }
    program.first_entries(at, MAX_SEARCH).any(|(_, value)| matches!(program.get(value), Value::Tensor(_)))
}

struct Walk<'a> {
    program: &'a Program,
    found: Vec<(String, Ref)>,
    ignored: Vec<String>,
    steps: u64,
    /// Bytes of all names.
    names: u64,
}

impl<'a> Walk<'a> {
    fn entries(&mut self, dict: Ref) -> Result<impl Iterator<Item = (&'a str, Ref)> + use<'a>, ImportCause> {
        let program = self.program;
        self.steps += 1 + program.pairs(dict).len() as u64;
        ImportCause::at_most("entries of modules", self.steps, MAX_STEPS)?;
        Ok(program.entries(dict))
    }

    fn keep(&mut self, name: String, at: Ref) -> Result<(), ImportCause> {
        self.count_name(&name)?;
        self.found.push((name, at));
        ImportCause::at_most("tensors", self.found.len() as u64, MAX_TENSORS)
    }

    fn ignore(&mut self, name: String) -> Result<(), ImportCause> {
        self.count_name(&name)?;
        self.ignored.push(name);
        ImportCause::at_most("entries that are no tensors", self.ignored.len() as u64, MAX_TENSORS)
    }

    fn count_name(&mut self, name: &str) -> Result<(), ImportCause> {
        self.names += name.len() as u64;
        ImportCause::at_most("bytes of a name", name.len() as u64, MAX_NAME as u64)?;
        ImportCause::at_most("bytes of all names", self.names, MAX_NAMES)
    }

    /// A flat state.
    fn state(&mut self, dict: Ref) -> Result<(), ImportCause> {
        for (name, at) in self.entries(dict)? {
            match self.program.get(at) {
                Value::Tensor(_) => self.keep(name.to_owned(), at)?,
                _ => self.ignore(name.to_owned())?,
            }
        }
        Ok(())
    }

    fn module(&mut self, object: Ref, prefix: &str, depth: u64) -> Result<(), ImportCause> {
        ImportCause::at_most("modules inside each other", depth, MAX_DEPTH)?;
        let Some(attributes) = self.program.attributes(object) else { return Ok(()) };
        let mut parts = [None; 4];
        for (key, value) in self.entries(attributes)? {
            let names = ["_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"];
            if let Some(slot) = names.iter().position(|n| *n == key).and_then(|i| parts.get_mut(i)) {
                *slot = Some(value);
            }
        }
        let [parameters, buffers, modules, transient] = parts;
        let members = transient.map_or(&[][..], |at| self.program.members(at));
        self.steps += members.len() as u64;
        let transient: HashSet<&str> = members.iter().filter_map(|at| self.program.text(*at)).collect();
        for (dict, skip) in [(parameters, HashSet::new()), (buffers, transient)] {
            let Some(dict) = dict else { continue };
            for (name, at) in self.entries(dict)? {
                if skip.contains(name) {
                    continue;
                }
                match self.program.get(at) {
                    Value::Tensor(_) => self.keep(format!("{prefix}{name}"), at)?,
                    Value::None => {}
                    _ => self.ignore(format!("{prefix}{name}"))?,
                }
            }
        }
        let Some(modules) = modules else { return Ok(()) };
        for (name, at) in self.entries(modules)? {
            let inner = format!("{prefix}{name}.");
            ImportCause::at_most("bytes of a name", inner.len() as u64, MAX_NAME as u64)?;
            self.module(at, &inner, depth + 1)?;
        }
        Ok(())
    }
}
