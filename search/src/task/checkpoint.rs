//! Everything a training needs to go on as if it had never stopped, in one file.
//!
//! Tensors are named `model.…`, `ema.…`, `optimizer.velocity.…` and `accumulated.…`; the rest is JSON under the metadata key
//! [`STATE_KEY`]. One file, because two could not be renamed at once. Numbers that later arithmetic depends on are stored as
//! bit patterns, since reading a decimal may move the last bit.

use super::config::TaskConfig;
use super::error::TaskError;
use super::log::EpochRow;
use caf_net::Graph;
use caf_torch::optim::Sgd;
use caf_torch::{Params, host_from_tensor, tensor_from_host};
use caf_weights::{Weights, load_safetensors, save_safetensors};
use caf_yolo::Ema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Metadata key of the JSON part.
pub const STATE_KEY: &str = "task_training";

const VERSION: u32 = 1;

/// Settings that may change between a stop and a resume without changing any result.
const FREE: [&str; 6] = ["device", "threads", "workers", "cache_mib", "checkpoint_every", "patience"];

/// The part of a training that is no tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    version: u32,
    /// Settings, to be compared.
    pub config: serde_json::Value,
    /// Training and validation images, to be compared.
    pub data: [String; 2],
    /// Iterations done.
    pub iteration: usize,
    /// Iterations done when the optimiser last moved.
    pub stepped_at: usize,
    /// Batches in the accumulated gradients.
    pub accumulated: usize,
    /// Steps the average has taken in.
    pub ema_updates: u64,
    /// Weights of the objectness levels, as bits.
    pub balance: Vec<u64>,
    /// Sums of the losses in the running epoch, as bits: boxes, objectness, classes.
    pub sums: [u64; 3],
    /// Finished epochs.
    pub rows: Vec<EpochRow>,
    /// Best epoch (from 1) and its fitness as bits.
    pub best: Option<(usize, u64)>,
}

impl State {
    pub fn new(config: &TaskConfig, data: [String; 2], balance: &[f64]) -> Self {
        State {
            version: VERSION,
            config: comparable(config),
            data,
            iteration: 0,
            stepped_at: 0,
            accumulated: 0,
            ema_updates: 0,
            balance: balance.iter().map(|b| b.to_bits()).collect(),
            sums: [0; 3],
            rows: Vec::new(),
            best: None,
        }
    }

    /// What of settings and data differs from another state.
    fn differing(&self, now: &State) -> Vec<String> {
        let mut found = Vec::new();
        differing("", &self.config, &now.config, &mut found);
        for (what, (saved, now)) in ["training images", "validation images"].iter().zip(self.data.iter().zip(&now.data))
        {
            if saved != now {
                found.push(format!("{what}: saved {saved}, now {now}"));
            }
        }
        found
    }
}

/// The settings that decide results.
fn comparable(config: &TaskConfig) -> serde_json::Value {
    let mut value = serde_json::to_value(config).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        FREE.iter().for_each(|key| drop(map.remove(*key)));
    }
    value
}

/// Compares as text: a decimal read back may differ from itself in the last bit, its shortest form does not.
fn differing(at: &str, saved: &serde_json::Value, now: &serde_json::Value, found: &mut Vec<String>) {
    match (saved, now) {
        (serde_json::Value::Object(a), serde_json::Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let name = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                let null = serde_json::Value::Null;
                differing(&name, a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null), found);
            }
        }
        (a, b) if same(a, b) => {}
        (a, b) => found.push(format!("{at}: saved {a}, now {b}")),
    }
}

fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= f64::EPSILON * a.abs().max(b.abs()),
        _ => a == b,
    }
}

/// The tensors of a training.
pub(super) struct Tensors {
    pub params: Params,
    pub sgd: Sgd,
    pub ema: Option<Ema>,
    /// Sum of the gradients since the last step, in the order of the trainable parameters.
    pub accumulated: Option<Vec<Tensor>>,
}

/// Writes a checkpoint, aside first and then renamed.
pub(super) fn save(path: &Path, graph: &Graph, state: &State, tensors: &Tensors) -> Result<(), TaskError> {
    let mut all = Weights::new();
    let groups = [("model", Some(&tensors.params)), ("ema", tensors.ema.as_ref().map(Ema::params))];
    for (prefix, params) in groups {
        let Some(params) = params else { continue };
        for (name, tensor) in params.to_weights(graph)?.iter() {
            all.insert(format!("{prefix}.{name}"), tensor.clone())?;
        }
    }
    tensors.sgd.save(&mut all, "optimizer")?;
    for (i, tensor) in tensors.accumulated.iter().flatten().enumerate() {
        let name = format!("accumulated.{i}");
        let host = host_from_tensor(&name, tensor)?;
        all.insert(name, host)?;
    }
    let text = serde_json::to_string(state)
        .map_err(|e| TaskError::Checkpoint { path: path.to_owned(), what: e.to_string() })?;
    all.set_metadata(STATE_KEY, text);
    Ok(save_safetensors(&all, path)?)
}

/// Reads a checkpoint that must belong to the settings and data of `now`.
pub(super) fn load(path: &Path, graph: &Graph, now: &State, device: Device) -> Result<(State, Tensors), TaskError> {
    let all = load_safetensors(path)?;
    let bad = |what: String| TaskError::Checkpoint { path: path.to_owned(), what };
    let text =
        all.metadata().get(STATE_KEY).ok_or_else(|| bad(format!("expected metadata `{STATE_KEY}`, found none")))?;
    let state: State = serde_json::from_str(text).map_err(|e| bad(format!("metadata `{STATE_KEY}`: {e}")))?;
    if state.version != VERSION {
        return Err(bad(format!("expected version {VERSION}, found {}", state.version)));
    }
    let differing = state.differing(now);
    if !differing.is_empty() {
        return Err(TaskError::Foreign { path: path.to_owned(), differing });
    }
    let part = |prefix: &str| -> Result<Weights, TaskError> {
        let mut weights = Weights::new();
        for (name, tensor) in all.iter() {
            if let Some(name) = name.strip_prefix(prefix) {
                weights.insert(name, tensor.clone())?;
            }
        }
        Ok(weights)
    };
    let mut params = Params::from_weights(graph, &part("model.")?, device, Kind::Float)?;
    params.set_requires_grad(true);
    let trainable = params.trainable();
    let mut sgd = Sgd::new(&trainable)?;
    sgd.load(&all, "optimizer")?;
    let averaged = part("ema.")?;
    let ema = if averaged.is_empty() {
        None
    } else {
        let averaged = Params::from_weights(graph, &averaged, device, Kind::Float)?;
        Some(Ema::new(graph, &averaged, state.ema_updates)?)
    };
    let accumulated = if state.accumulated == 0 {
        None
    } else {
        let mut sums = Vec::with_capacity(trainable.len());
        for (i, own) in trainable.iter().enumerate() {
            let name = format!("accumulated.{i}");
            let host = all.get(&name).ok_or_else(|| bad(format!("expected tensor `{name}`, found none")))?;
            let tensor = tensor_from_host(host)?.f_to_device(device)?;
            if tensor.size() != own.size() {
                return Err(bad(format!(
                    "tensor `{name}`: expected shape {:?}, found {:?}",
                    own.size(),
                    tensor.size()
                )));
            }
            sums.push(tensor);
        }
        Some(sums)
    };
    Ok((state, Tensors { params, sgd, ema, accumulated }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_that_decide_results_must_agree() {
        let data = || ["a".to_owned(), "b".to_owned()];
        let saved = State::new(&TaskConfig::default(), data(), &[1.0]);
        let free = TaskConfig { workers: 9, device: "cpu".into(), ..TaskConfig::default() };
        assert!(saved.differing(&State::new(&free, data(), &[1.0])).is_empty());
        let mut other = TaskConfig { batch: 3, ..TaskConfig::default() };
        other.optimizer.rate = 0.5;
        let found = saved.differing(&State::new(&other, ["a".to_owned(), "c".to_owned()], &[1.0]));
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("batch: saved 16, now 3"), "{found:?}");
        assert!(found[1].starts_with("optimizer.rate"), "{found:?}");
    }

    #[test]
    fn a_state_survives_json() {
        let mut state = State::new(&TaskConfig::default(), ["a".into(), "b".into()], &[4.0, 1.0 / 3.0]);
        state.sums = [0.1f64.to_bits(), f64::NAN.to_bits(), 7];
        state.best = Some((3, (2.0f64 / 3.0).to_bits()));
        let back: State = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        assert_eq!((back.sums, back.best, &back.balance), (state.sums, state.best, &state.balance));
        assert!(state.differing(&back).is_empty());
    }
}
