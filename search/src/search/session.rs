//! The state of a search, and its file.

use super::beta_file::{BetaFile, Origin};
use super::config::{DecayEvery, SearchConfig};
use super::signal::Signal;
use crate::error::SearchError;
use crate::fusion_net::FusionNet;
use crate::run_settings::{DataSettings, RunSettings};
use crate::state::{Run, STATE, StateError, entry, insert, iteration, part};
use crate::tasks::{Purpose, Setup, Task};
use crate::weight_file::write_weights;
use caf_fusion_loss::{FusionLoss, TermScale};
use caf_torch::Params;
use caf_torch::optim::{Adam, AdamConfig};
use caf_weights::{HostTensor, Metadata, Weights};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Settings that may change when a search goes on.
const FREE: [&str; 3] = ["run.epochs", "run.iterations", "unrolled.check_every"];

/// What a search knows of its pairs.
pub(super) struct Pairs<'a> {
    /// How many train the networks.
    pub train: usize,
    /// Class names of the task by number.
    pub classes: &'a [String],
    /// What a resumed search compares of them.
    pub fingerprints: &'a [(&'static str, String)],
}

/// Both networks, β, and all optimisers.
pub(super) struct Session {
    pub config: SearchConfig,
    run: Run,
    pub device: Device,
    pub loss: FusionLoss,
    pub fusion: FusionNet,
    pub fusion_adam: Adam,
    pub task: Box<dyn Task>,
    /// β, `[terms]`.
    pub logits: Tensor,
    pub beta_adam: Adam,
    /// The last hypergradients.
    pub signal: Signal,
    /// The next iteration.
    pub iteration: usize,
    pub iterations_per_epoch: usize,
    /// Iterations in all.
    pub end: usize,
}

impl Session {
    /// Fresh state.
    pub fn new(config: SearchConfig, loss: FusionLoss, pairs: &Pairs<'_>, device: Device) -> Result<Self, SearchError> {
        let run = &config.run;
        let fusion = config.fusion.start(run.seed, config.data.ir_range, device)?;
        let fusion_adam = Adam::new(AdamConfig::default(), &fusion.params.trainable())?;
        let iterations_per_epoch = run.iterations_per_epoch(pairs.train);
        let end = run.end(pairs.train);
        let task = (config.task.kind().begin)(&Setup {
            settings: config.task.table(),
            purpose: Purpose::Search,
            classes: pairs.classes,
            size: run.size_px,
            batch: run.batch,
            batches: iterations_per_epoch,
            end,
            seed: run.seed,
            ir_range: Some(config.data.ir_range),
            device,
            float: Kind::Float,
        })?;
        let logits = config.loss.weighting.start(loss.active().len(), device, Kind::Float)?;
        let adam = AdamConfig { beta1: config.beta.momentum, ..AdamConfig::default() };
        let beta_adam = Adam::new(adam, std::slice::from_ref(&logits))?;
        let free: Vec<&str> = [&FREE[..], &RunSettings::FREE, &DataSettings::FREE].concat();
        Ok(Session {
            run: Run::new("search", &config, &free, pairs.fingerprints),
            config,
            device,
            loss,
            fusion,
            fusion_adam,
            task,
            logits,
            beta_adam,
            signal: Signal::default(),
            iteration: 0,
            iterations_per_epoch,
            end,
        })
    }

    /// β's learning rate in the running iteration.
    pub fn beta_rate(&self) -> f64 {
        let beta = &self.config.beta;
        let times = match beta.decay_every {
            DecayEvery::Iteration => self.iteration,
            DecayEvery::Epoch => self.iteration / self.iterations_per_epoch,
        };
        beta.rate * beta.decay.powi(i32::try_from(times).unwrap_or(i32::MAX))
    }

    /// The fusion network's learning rate in the running iteration, once β moves.
    pub fn fusion_rate(&self) -> f64 {
        self.config.fusion.rate_after(self.iteration, self.end)
    }

    /// Whether the running iteration moves β.
    pub fn beta_is_due(&self) -> bool {
        self.beta_steps(self.iteration) < self.beta_steps(self.iteration + 1)
    }

    /// β steps in that many iterations.
    pub fn beta_steps(&self, iterations: usize) -> usize {
        iterations.saturating_sub(self.config.beta.freeze_iterations) / self.config.steps.fusion_per_beta.max(1)
    }

    /// β and the weights it makes, on the host.
    pub fn beta(&self) -> Result<(Vec<f64>, Vec<f64>), SearchError> {
        let weights = self.loss.weights(&self.logits)?;
        let host = |t: &Tensor| Ok::<_, SearchError>(Vec::<f64>::try_from(t.f_to_kind(Kind::Double)?)?);
        Ok((host(&self.logits)?, host(&weights)?))
    }

    /// The result so far. Its weights are those of the terms as they are, undivided.
    pub fn beta_file(&self) -> Result<BetaFile, SearchError> {
        let (logits, weights) = self.beta()?;
        let scales = self.loss.scales();
        let weights = weights.into_iter().zip(&scales).map(|(h, scale)| h / scale).collect();
        let named =
            |values: Vec<f64>| self.loss.active().iter().zip(values).map(|(t, v)| (t.name().to_owned(), v)).collect();
        Ok(BetaFile {
            weights: named(weights),
            logits: named(logits),
            scales: if self.loss.settings().scale == TermScale::None { BTreeMap::new() } else { named(scales) },
            loss: self.loss.spelled_out(),
            origin: Some(Origin {
                iterations: self.iteration,
                seed: self.config.run.seed,
                data: self.config.data.root.display().to_string(),
            }),
        })
    }

    /// Writes everything that the next iteration depends on.
    pub fn save(&self, folder: &Path) -> Result<(), SearchError> {
        let mut all = Weights::new();
        insert(&mut all, "fusion", &self.fusion.params.to_weights(self.fusion.graph())?)?;
        self.fusion_adam.save(&mut all, "fusion_adam")?;
        self.task.save(&mut all)?;
        all.insert("beta", caf_torch::host_from_tensor("beta", &self.logits)?)?;
        self.beta_adam.save(&mut all, "beta_adam")?;
        let doubles = |values: &[f64]| HostTensor::from_i64(&[values.len()], &bits(values));
        all.insert("scales", doubles(&self.loss.scales())?)?;
        let recent: Vec<f64> = self.signal.rows().flatten().copied().collect();
        all.insert("signal", doubles(&recent)?)?;
        all.insert("iteration", HostTensor::from_i64(&[], &[self.iteration as i64])?)?;
        self.run.describe(&mut all);
        Ok(write_weights(&all, &folder.join(STATE))?)
    }

    /// Writes the task network as a file of its own.
    pub fn write_task(&self, path: &Path) -> Result<(), SearchError> {
        let mut weights = self.task.weights()?;
        let ir_range = Some(self.config.data.ir_range);
        Metadata { ir_range, ..Metadata::default() }.write_to(&mut weights);
        Ok(write_weights(&weights, path)?)
    }

    /// Continues from the state in a folder; false when there is none. An error leaves a session that is not to be used.
    pub fn restore(&mut self, folder: &Path) -> Result<bool, SearchError> {
        let Some(all) = self.run.find(folder)? else { return Ok(false) };
        let refuse = |what: String| StateError::unusable(&folder.join(STATE), what);
        let fusion = Params::from_weights(self.fusion.graph(), &part(&all, "fusion")?, self.device, Kind::Float)?;
        let logits = caf_torch::tensor_from_host(entry(&all, folder, "beta")?)?.f_to_device(self.device)?;
        if logits.size() != self.logits.size() {
            let (expected, found) = (self.logits.size(), logits.size());
            return Err(refuse(format!("tensor `beta`: expected shape {expected:?}, found {found:?}")).into());
        }
        self.fusion_adam.load(&all, "fusion_adam")?;
        let iteration = iteration(&all, folder, &self.fusion_adam)?;
        self.task.load(&all, folder)?;
        self.beta_adam.load(&all, "beta_adam")?;
        if self.loss.settings().scale != TermScale::None {
            self.loss.set_scales(doubles(&all, folder, "scales")?)?;
        }
        let terms = self.loss.active().len().max(1);
        self.signal = Signal::new(doubles(&all, folder, "signal")?.chunks(terms).map(<[f64]>::to_vec));
        self.fusion.params = fusion;
        self.logits = logits;
        self.iteration = iteration;
        Ok(true)
    }
}

fn bits(values: &[f64]) -> Vec<i64> {
    values.iter().map(|value| value.to_bits().cast_signed()).collect()
}

/// Numbers of a state, stored by their bits.
fn doubles(state: &Weights, folder: &Path, name: &str) -> Result<Vec<f64>, SearchError> {
    let stored = entry(state, folder, name)?.to_i64_vec()?;
    Ok(stored.into_iter().map(|bits| f64::from_bits(bits.cast_unsigned())).collect())
}
