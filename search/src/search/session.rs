//! The state of a search, and its file.

use super::beta_file::{BetaFile, Origin};
use super::config::{DecayEvery, SearchConfig};
use crate::error::SearchError;
use crate::fusion_net::FusionNet;
use crate::task::{Detector, start};
use caf_fusion_loss::FusionLoss;
use caf_torch::Params;
use caf_torch::optim::{Adam, AdamConfig, Sgd};
use caf_weights::{HostTensor, Weights, load_safetensors, save_safetensors};
use caf_yolo::{Group, Schedule, YoloLoss};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// File of the state inside a result folder.
pub(super) const STATE: &str = "state.safetensors";
/// Metadata key of the configuration a state belongs to.
const CONFIG_KEY: &str = "search_config";

/// Both networks, β, and all optimisers.
pub(super) struct Session {
    pub config: SearchConfig,
    pub device: Device,
    pub loss: FusionLoss,
    pub fusion: FusionNet,
    pub fusion_adam: Adam,
    pub task: TaskNet,
    /// β, `[terms]`.
    pub logits: Tensor,
    pub beta_adam: Adam,
    /// The next iteration.
    pub iteration: usize,
    pub iterations_per_epoch: usize,
    /// Iterations in all.
    pub end: usize,
}

/// The task network.
pub(super) struct TaskNet {
    pub detector: Detector,
    pub params: Params,
    pub sgd: Sgd,
    pub groups: Vec<Group>,
    pub schedule: Schedule,
    pub loss: YoloLoss,
    pub classes: Vec<String>,
}

impl Session {
    /// Fresh state.
    pub fn new(config: SearchConfig, classes: Vec<String>, pairs: usize, device: Device) -> Result<Self, SearchError> {
        let loss = FusionLoss::new(&config.loss, device, Kind::Float)?;
        let fusion = match &config.fusion.init {
            Some(path) => FusionNet::read(path, device)?,
            None => FusionNet::fresh(config.fusion.network, config.seed, device)?,
        };
        let fusion_adam = Adam::new(AdamConfig::default(), &fusion.params.trainable())?;
        let iterations_per_epoch = pairs.div_ceil(config.batch).max(1);
        let end = config.iterations.unwrap_or(config.epochs * iterations_per_epoch);
        let task = TaskNet::new(&config, classes, iterations_per_epoch, end, device)?;
        let logits = config.loss.weighting.start(loss.active().len(), device, Kind::Float)?;
        let beta_adam = Adam::new(AdamConfig::default(), std::slice::from_ref(&logits))?;
        Ok(Session {
            config,
            device,
            loss,
            fusion,
            fusion_adam,
            task,
            logits,
            beta_adam,
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

    /// β and the weights it makes, on the host.
    pub fn beta(&self) -> Result<(Vec<f64>, Vec<f64>), SearchError> {
        let weights = self.loss.weights(&self.logits)?;
        let host = |t: &Tensor| Ok::<_, SearchError>(Vec::<f64>::try_from(t.f_to_kind(Kind::Double)?)?);
        Ok((host(&self.logits)?, host(&weights)?))
    }

    /// The result so far.
    pub fn beta_file(&self) -> Result<BetaFile, SearchError> {
        let (logits, weights) = self.beta()?;
        let named =
            |values: Vec<f64>| self.loss.active().iter().zip(values).map(|(t, v)| (t.name().to_owned(), v)).collect();
        Ok(BetaFile {
            weights: named(weights),
            logits: named(logits),
            loss: self.loss.spelled_out(),
            origin: Some(Origin {
                iterations: self.iteration,
                seed: self.config.seed,
                data: self.config.data.root.display().to_string(),
            }),
        })
    }

    /// Writes everything that the next iteration depends on.
    pub fn save(&self, folder: &Path) -> Result<(), SearchError> {
        let path = folder.join(STATE);
        let mut all = Weights::new();
        insert(&mut all, "fusion", self.fusion.params.to_weights(self.fusion.graph())?)?;
        self.fusion_adam.save(&mut all, "fusion_adam")?;
        insert(&mut all, "task", self.task.params.to_weights(self.task.detector.graph())?)?;
        self.task.sgd.save(&mut all, "task_sgd")?;
        let balance: Vec<f32> = self.task.loss.balance().iter().map(|b| *b as f32).collect();
        all.insert("task_balance", HostTensor::from_f32(&[balance.len()], &balance)?)?;
        all.insert("beta", caf_torch::host_from_tensor("beta", &self.logits)?)?;
        self.beta_adam.save(&mut all, "beta_adam")?;
        all.insert("iteration", HostTensor::from_i64(&[], &[self.iteration as i64])?)?;
        all.set_metadata(CONFIG_KEY, identity(&self.config, &path)?);
        Ok(save_safetensors(&all, &path)?)
    }

    /// Writes the task network as a file of its own.
    pub fn write_task(&self, path: &Path) -> Result<(), SearchError> {
        let mut weights = self.task.params.to_weights(self.task.detector.graph())?;
        let [width, height] = self.config.crop_px;
        self.task.detector.describe(&mut weights, &self.task.classes, (width, height));
        Ok(save_safetensors(&weights, path)?)
    }

    /// Continues from a saved state.
    pub fn restore(&mut self, folder: &Path) -> Result<(), SearchError> {
        let path = folder.join(STATE);
        let all = load_safetensors(&path)?;
        let refuse = |what: String| SearchError::Resume { path: path.clone(), what };
        if all.metadata().get(CONFIG_KEY) != Some(&identity(&self.config, &path)?) {
            return Err(refuse(
                "it belongs to a search with other settings; give another --out, or the settings in its config.toml \
                 (only the number of epochs or iterations may change)"
                    .to_owned(),
            ));
        }
        let fusion = Params::from_weights(self.fusion.graph(), &part(&all, "fusion")?, self.device, Kind::Float)?;
        let task = Params::from_weights(self.task.detector.graph(), &part(&all, "task")?, self.device, Kind::Float)?;
        let entry = |name: &str| all.get(name).ok_or_else(|| refuse(format!("tensor `{name}` is missing")));
        let logits = caf_torch::tensor_from_host(entry("beta")?)?.f_to_device(self.device)?;
        if logits.size() != self.logits.size() {
            return Err(refuse(format!("β has shape {:?}, this search {:?}", logits.size(), self.logits.size())));
        }
        let iteration = entry("iteration")?.to_i64_vec()?.first().copied().unwrap_or(-1);
        let iteration = usize::try_from(iteration).map_err(|_| refuse(format!("iteration {iteration}")))?;
        let balance = entry("task_balance")?.to_f64_vec()?;
        self.fusion_adam.load(&all, "fusion_adam")?;
        self.task.sgd.load(&all, "task_sgd")?;
        self.beta_adam.load(&all, "beta_adam")?;
        self.task.loss.set_balance(&balance)?;
        self.fusion.params = fusion;
        self.task.params = task;
        self.logits = logits;
        self.iteration = iteration;
        Ok(())
    }
}

impl TaskNet {
    fn new(
        config: &SearchConfig,
        classes: Vec<String>,
        batches: usize,
        end: usize,
        device: Device,
    ) -> Result<Self, SearchError> {
        let network = caf_net::zoo::yolov5::YoloConfig::new(config.task.variant, classes.len());
        let started = start(network, config.task.init.as_deref(), config.seed)?;
        let graph = started.detector.graph();
        let params = Params::from_weights(graph, &started.weights, device, Kind::Float)?;
        let sgd = Sgd::new(&params.trainable())?;
        let groups = graph.params().iter().filter_map(|p| Group::of(p.role)).collect();
        let [width, height] = config.crop_px;
        let loss = YoloLoss::new(started.detector.config(), &config.task.hyp, width.max(height))?;
        let schedule = Schedule {
            warmup_batches: config.task.warmup,
            rate: config.task.rate,
            // One optimiser step for each batch: the search has no larger nominal batch.
            nominal_batch: config.batch,
            ..Schedule::original(end.div_ceil(batches).max(1), batches, config.batch)
        };
        schedule.check()?;
        Ok(TaskNet { detector: started.detector, params, sgd, groups, schedule, loss, classes })
    }
}

/// The configuration without what may change when a search goes on.
fn identity(config: &SearchConfig, path: &Path) -> Result<String, SearchError> {
    let stays = SearchConfig {
        epochs: 0,
        iterations: None,
        save_every: 0,
        device: String::new(),
        threads: 0,
        ..config.clone()
    };
    serde_json::to_string(&stays).map_err(|source| SearchError::Json { path: path.to_owned(), source })
}

fn insert(all: &mut Weights, prefix: &str, weights: Weights) -> Result<(), SearchError> {
    for (name, tensor) in weights.iter() {
        all.insert(format!("{prefix}/{name}"), tensor.clone())?;
    }
    Ok(())
}

fn part(all: &Weights, prefix: &str) -> Result<Weights, SearchError> {
    let mut weights = Weights::new();
    for (name, tensor) in all.iter() {
        if let Some(rest) = name.strip_prefix(prefix).and_then(|r| r.strip_prefix('/')) {
            weights.insert(rest, tensor.clone())?;
        }
    }
    Ok(weights)
}
