//! The file that an interrupted run goes on from, and whether it belongs to the run that finds it.
//!
//! It is one safetensors file, because two could not be renamed at once. Tensors of a network carry a prefix; what the file
//! belongs to is JSON under the metadata key `run`.

use caf_data::Dataset;
use caf_file::Sha256Hash;
use caf_image::Label;
use caf_torch::optim::Adam;
use caf_weights::{HostTensor, Weights, WeightsError, load_safetensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Name of the file in a result folder, the same for every kind of run: a folder holds one run.
pub const STATE: &str = "state.safetensors";
/// Metadata key of the [`Run`].
const RUN_KEY: &str = "run";

/// Why a state cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It belongs to another run.
    #[error("{}: belongs to another run: {}; give another --out, or the same call", path.display(), differing.join("; "))]
    Foreign {
        /// The file.
        path: PathBuf,
        /// `name: saved …, now …` each.
        differing: Vec<String>,
    },
    /// It cannot be understood, or what lies beside it does not fit.
    #[error("{}: {what}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        what: String,
    },
    /// It is not that of the other ranks.
    #[error(transparent)]
    Ranks(#[from] caf_ranks::RanksError),
    /// It cannot be read, or put together.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl StateError {
    /// [`StateError::Unusable`].
    pub(crate) fn unusable(path: &Path, what: impl Into<String>) -> Self {
        StateError::Unusable { path: path.to_owned(), what: what.into() }
    }
}

/// What decides the results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// What it does.
    kind: String,
    /// Its settings, without those that may change between a stop and a resume.
    settings: Value,
    /// Its data: fingerprints by what they are for.
    data: BTreeMap<String, String>,
}

impl Run {
    /// A run of a kind such as `search`; `free` names the settings (`a` or `a.b`) that may change.
    pub fn new(kind: &str, config: &impl Serialize, free: &[&str], data: &[(&str, String)]) -> Self {
        let mut settings = serde_json::to_value(config).unwrap_or_default();
        for key in free {
            let mut parts: Vec<&str> = key.split('.').collect();
            let last = parts.pop().unwrap_or_default();
            let table = parts.into_iter().try_fold(&mut settings, |table, part| table.get_mut(part));
            if let Some(map) = table.and_then(Value::as_object_mut) {
                map.remove(last);
            }
        }
        let data = data.iter().map(|(what, print)| ((*what).to_owned(), print.clone())).collect();
        Run { kind: kind.to_owned(), settings, data }
    }

    /// Says in a state what it belongs to.
    pub fn describe(&self, state: &mut Weights) {
        // Text keys and plain values always have a JSON form.
        state.set_metadata(RUN_KEY, serde_json::to_string(self).unwrap_or_default());
    }

    /// The state of this run in a folder; none when there is none.
    ///
    /// # Errors
    /// [`StateError::Foreign`] with all that differs, or when the file cannot be read; when another rank is of another run.
    pub fn find(&self, folder: &Path) -> Result<Option<Weights>, StateError> {
        caf_ranks::agree("its run (settings and data)", &serde_json::to_string(self).unwrap_or_default())?;
        let path = folder.join(STATE);
        if !path.exists() {
            return Ok(None);
        }
        let state = load_safetensors(&path)?;
        let text = state.metadata().get(RUN_KEY).ok_or_else(|| {
            StateError::unusable(&path, format!("expected metadata `{RUN_KEY}` of an interrupted run, found none"))
        })?;
        let saved: Run = serde_json::from_str(text)
            .map_err(|e| StateError::unusable(&path, format!("metadata `{RUN_KEY}`: {e}")))?;
        let differing = saved.differing(self);
        if differing.is_empty() { Ok(Some(state)) } else { Err(StateError::Foreign { path, differing }) }
    }

    fn differing(&self, now: &Run) -> Vec<String> {
        if self.kind != now.kind {
            return vec![format!("it is of a {}, this is a {}", self.kind, now.kind)];
        }
        let mut found = Vec::new();
        differing("", &self.settings, &now.settings, &mut found);
        for (what, saved) in &self.data {
            let now = now.data.get(what).map_or("none", String::as_str);
            if saved != now {
                found.push(format!("{what}: saved {saved}, now {now}"));
            }
        }
        found
    }
}

/// Adds every place where two plain values differ, as `name: saved …, now …`.
pub(crate) fn differing(at: &str, saved: &Value, now: &Value, found: &mut Vec<String>) {
    match (saved, now) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let name = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                differing(&name, a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), found);
            }
        }
        (a, b) if same(a, b) => {}
        (a, b) => found.push(format!("{at}: saved {a}, now {b}")),
    }
}

/// Whether two plain values are equal; a decimal that was read back may differ in its last bit.
fn same(a: &Value, b: &Value) -> bool {
    let decimal = |v: &Value| v.as_f64().filter(|_| v.is_f64());
    match (decimal(a), decimal(b)) {
        (Some(a), Some(b)) => (a - b).abs() <= f64::EPSILON * a.abs().max(b.abs()),
        _ => a == b,
    }
}

/// Adds the tensors of a network as `prefix/name`.
///
/// # Errors
/// When a name is taken.
pub(crate) fn insert(state: &mut Weights, prefix: &str, network: &Weights) -> Result<(), WeightsError> {
    for (name, tensor) in network.iter() {
        state.insert(format!("{prefix}/{name}"), tensor.clone())?;
    }
    Ok(())
}

/// The tensors `prefix/name` of a network.
///
/// # Errors
/// Never for a state: its names are distinct.
pub(crate) fn part(state: &Weights, prefix: &str) -> Result<Weights, WeightsError> {
    let mut network = Weights::new();
    for (name, tensor) in state.iter() {
        if let Some(rest) = name.strip_prefix(prefix).and_then(|r| r.strip_prefix('/')) {
            network.insert(rest, tensor.clone())?;
        }
    }
    Ok(network)
}

/// A tensor of a state.
///
/// # Errors
/// [`StateError::Unusable`] when it is missing.
pub(crate) fn entry<'a>(state: &'a Weights, folder: &Path, name: &str) -> Result<&'a HostTensor, StateError> {
    state
        .get(name)
        .ok_or_else(|| StateError::unusable(&folder.join(STATE), format!("expected a tensor `{name}`, found none")))
}

/// The number of iterations done, stored as the tensor `iteration`; `adam` has taken a step in each.
///
/// # Errors
/// When it is missing or not the number of these steps.
pub(crate) fn iteration(state: &Weights, folder: &Path, adam: &Adam) -> Result<usize, StateError> {
    let stored = entry(state, folder, "iteration")?.to_i64_vec().unwrap_or_default();
    let agreed = stored.first().filter(|n| **n == adam.steps()).and_then(|n| usize::try_from(*n).ok());
    agreed.ok_or_else(|| {
        let what = format!("tensor `iteration`: expected the optimiser's {} steps, found {stored:?}", adam.steps());
        StateError::unusable(&folder.join(STATE), what)
    })
}

/// How a run stands to the state that it goes on from.
pub(crate) fn resumed(done: usize, end: usize, ends_early: bool) -> String {
    match done.cmp(&end) {
        Ordering::Less if !ends_early => format!("going on after {done} iterations"),
        Ordering::Less | Ordering::Equal => format!("nothing left to do: {done} iterations are done"),
        Ordering::Greater => format!(
            "nothing left to do: the state is of {done} iterations, more than the {end} asked for, and stays so; give another --out for fewer"
        ),
    }
}

/// What a resumed run compares of its pairs: class names, names, sizes and boxes, not pixels.
pub(crate) fn fingerprint(dataset: &Dataset) -> String {
    let mut bytes = vec![];
    for class in dataset.classes() {
        feed(&mut bytes, class.as_bytes());
    }
    for entry in dataset.entries() {
        feed(&mut bytes, entry.name.as_bytes());
        feed(&mut bytes, &entry.size.width.to_le_bytes());
        feed(&mut bytes, &entry.size.height.to_le_bytes());
        for (kind, boxes) in [(0u8, &entry.labels), (1, &entry.ignore)] {
            for Label { class, cx, cy, w, h } in boxes {
                feed(&mut bytes, &[kind]);
                feed(&mut bytes, &class.to_le_bytes());
                [cx, cy, w, h].iter().for_each(|v| feed(&mut bytes, &v.to_le_bytes()));
            }
        }
    }
    format!("{} pairs {:.16}", dataset.len(), Sha256Hash::of(&bytes))
}

/// Adds a field and its length, so that neighbouring fields cannot run into each other.
fn feed(bytes: &mut Vec<u8>, field: &[u8]) {
    bytes.extend((field.len() as u64).to_le_bytes());
    bytes.extend(field);
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_weights::save_safetensors;
    use serde_json::json;

    fn run(config: Value, data: &str) -> Run {
        Run::new("search", &config, &["device", "inner.free"], &[("training pairs", data.to_owned())])
    }

    #[test]
    fn only_what_decides_results_must_agree_and_all_that_differs_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STATE);
        let saved = run(json!({ "device": "cpu", "batch": 16, "inner": { "free": 1, "rate": 0.1 } }), "a");
        assert!(saved.find(folder.path()).unwrap().is_none());
        let mut state = Weights::new();
        state.insert("x", HostTensor::from_i64(&[], &[7]).unwrap()).unwrap();
        save_safetensors(&state, &path).unwrap();
        assert!(matches!(saved.find(folder.path()), Err(StateError::Unusable { .. })));
        saved.describe(&mut state);
        save_safetensors(&state, &path).unwrap();

        let elsewhere = run(json!({ "device": "cuda", "batch": 16, "inner": { "free": 2, "rate": 0.1 } }), "a");
        let found = elsewhere.find(folder.path()).unwrap().unwrap();
        assert_eq!(entry(&found, folder.path(), "x").unwrap().to_i64_vec().unwrap(), [7]);
        assert!(entry(&found, folder.path(), "y").unwrap_err().to_string().contains("`y`"));

        let other = run(json!({ "device": "cpu", "batch": 3, "inner": { "rate": 0.5 } }), "b");
        let text = other.find(folder.path()).unwrap_err().to_string();
        for part in
            [STATE, "batch: saved 16, now 3", "inner.rate: saved 0.1, now 0.5", "training pairs: saved a, now b"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        let task = Run { kind: "task training".to_owned(), ..saved };
        let text = task.find(folder.path()).unwrap_err().to_string();
        assert!(text.contains("of a search, this is a task training"), "{text}");
    }

    #[test]
    fn networks_come_back_under_their_prefix() {
        let mut network = Weights::new();
        network.insert("a.b", HostTensor::from_f32(&[1], &[0.5]).unwrap()).unwrap();
        let mut state = Weights::new();
        insert(&mut state, "fusion", &network).unwrap();
        insert(&mut state, "fusion2", &network).unwrap();
        assert_eq!(part(&state, "fusion").unwrap().iter().collect::<Vec<_>>(), network.iter().collect::<Vec<_>>());
    }
}
