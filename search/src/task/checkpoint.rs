//! Everything a training needs to go on as if it had never stopped, in one file.
//!
//! Tensors are named `model/…`, `ema/…`, `optimizer.velocity.…` and `accumulated.…`; the rest is JSON under the metadata key
//! [`STATE_KEY`]. Numbers that later arithmetic depends on are stored as bit patterns, since reading a decimal may move the last
//! bit.

use super::config::TaskConfig;
use super::error::TaskError;
use super::log::EpochRow;
use crate::state::{Run, STATE, StateError, entry, insert, part};
use crate::weight_file::write_weights;
use caf_net::Graph;
use caf_torch::optim::Sgd;
use caf_torch::{Params, host_from_tensor, tensor_from_host};
use caf_weights::Weights;
use caf_yolo::{Ema, Schedule};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Metadata key of the JSON part.
pub const STATE_KEY: &str = "task_training";

const VERSION: u32 = 2;

/// Settings that may change between a stop and a resume without changing any result.
const FREE: [&str; 6] = ["device", "threads", "workers", "cache_mib", "checkpoint_every", "patience"];

/// What decides the results of a training; `images` are fingerprints of the training and the validation images.
pub(super) fn run_of(config: &TaskConfig, images: [&str; 2]) -> Run {
    let [train, val] = images.map(str::to_owned);
    Run::new("task training", config, &FREE, &[("training images", train), ("validation images", val)])
}

/// The part of a training that is no tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    version: u32,
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
    pub fn new(balance: &[f64]) -> Self {
        State {
            version: VERSION,
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

    /// Refuses counts that no training of this length reaches.
    fn check(&self, schedule: &Schedule) -> Result<(), String> {
        let (done, total) = (self.iteration, schedule.epochs * schedule.batches);
        if done > total {
            return Err(format!("expected at most the {total} iterations of this training, found {done}"));
        }
        if self.stepped_at > done {
            return Err(format!(
                "expected the optimiser's last step within {done} iterations, found {}",
                self.stepped_at
            ));
        }
        // Of an epoch whose validation was stopped the row is still owed.
        let epochs = done / schedule.batches.max(1);
        if self.rows.len() > epochs || self.rows.len() + 1 < epochs {
            return Err(format!("expected the rows of {epochs} epochs, found {}", self.rows.len()));
        }
        Ok(())
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

/// Writes a checkpoint into a folder, aside first and then renamed.
pub(super) fn save(folder: &Path, run: &Run, graph: &Graph, state: &State, tensors: &Tensors) -> Result<(), TaskError> {
    let path = folder.join(STATE);
    let mut all = Weights::new();
    insert(&mut all, "model", &tensors.params.to_weights(graph)?)?;
    if let Some(ema) = &tensors.ema {
        insert(&mut all, "ema", &ema.params().to_weights(graph)?)?;
    }
    tensors.sgd.save(&mut all, "optimizer")?;
    for (i, tensor) in tensors.accumulated.iter().flatten().enumerate() {
        let name = format!("accumulated.{i}");
        let host = host_from_tensor(&name, tensor)?;
        all.insert(name, host)?;
    }
    let text = serde_json::to_string(state).map_err(|e| StateError::unusable(&path, e.to_string()))?;
    all.set_metadata(STATE_KEY, text);
    run.describe(&mut all);
    Ok(write_weights(&all, &path)?)
}

/// Reads the checkpoint of a training, none when the folder has none.
pub(super) fn load(
    folder: &Path,
    run: &Run,
    graph: &Graph,
    schedule: &Schedule,
    device: Device,
) -> Result<Option<(State, Tensors)>, TaskError> {
    let Some(all) = run.find(folder)? else { return Ok(None) };
    let bad = |what: String| StateError::unusable(&folder.join(STATE), what);
    let text =
        all.metadata().get(STATE_KEY).ok_or_else(|| bad(format!("expected metadata `{STATE_KEY}`, found none")))?;
    let state: State = serde_json::from_str(text).map_err(|e| bad(format!("metadata `{STATE_KEY}`: {e}")))?;
    if state.version != VERSION {
        return Err(bad(format!("expected version {VERSION}, found {}", state.version)).into());
    }
    state.check(schedule).map_err(bad)?;
    let mut params = Params::from_weights(graph, &part(&all, "model")?, device, Kind::Float)?;
    params.set_requires_grad(true);
    let trainable = params.trainable();
    let mut sgd = Sgd::new(&trainable)?;
    sgd.load(&all, "optimizer")?;
    let averaged = part(&all, "ema")?;
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
            let tensor = tensor_from_host(entry(&all, folder, &name)?)?.f_to_device(device)?;
            if tensor.size() != own.size() {
                let what = format!("tensor `{name}`: expected shape {:?}, found {:?}", own.size(), tensor.size());
                return Err(bad(what).into());
            }
            sums.push(tensor);
        }
        Some(sums)
    };
    Ok(Some((state, Tensors { params, sgd, ema, accumulated })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_json() {
        let mut state = State::new(&[4.0, 1.0 / 3.0]);
        state.sums = [0.1f64.to_bits(), f64::NAN.to_bits(), 7];
        state.best = Some((3, (2.0f64 / 3.0).to_bits()));
        let back: State = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        assert_eq!((back.sums, back.best, &back.balance), (state.sums, state.best, &state.balance));
    }
}
