//! Training the fusion network with a found loss.

use super::method::Fuser;
use super::panel::panel;
use crate::error::SearchError;
use crate::file::{make_folder, write_toml};
use crate::fusion_net::FusionNet;
use crate::pairs::{CropPlan, Feed, PairBatch, PairStore, Stream};
use crate::search::{BetaFile, DataSettings, FusionSettings, MAX_SIDE_PX, Record, require, require_extent};
use caf_console::{Progress, StopFlag};
use caf_data::augment::CropSettings;
use caf_data::{Dataset, DatasetOptions, Need};
use caf_fusion_loss::{FusionLoss, Masks, VggFile};
use caf_torch::optim::{Adam, AdamConfig};
use caf_torch::{GradOptions, Mode, Params, gradients};
use caf_weights::{HostTensor, Weights, load_safetensors, save_safetensors};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

const STATE: &str = "state.safetensors";
const CONFIG_KEY: &str = "fusion_config";

/// Settings of a training. The defaults are the paper's (Adam 1e-4, 100 epochs); crops and batch are those of the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FusionTrainConfig {
    /// Seed of every random choice.
    pub seed: u64,
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    pub device: String,
    /// Threads of libtorch on the CPU; 0 leaves the choice to it.
    pub threads: usize,
    /// Passes over the pairs.
    pub epochs: usize,
    /// Iterations in all, in place of `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterations: Option<usize>,
    /// Crops in a batch.
    pub batch: usize,
    /// Width and height of the crops in pixels, at least 16.
    pub crop_px: [usize; 2],
    /// Iterations between two checkpoints.
    pub save_every: usize,
    /// Iterations between two validations and panels.
    pub validate_every: usize,
    /// Where pairs come from; `val` is for validation and panels, and may be left out.
    pub data: DataSettings,
    /// The loss: a `beta.toml`.
    pub beta: PathBuf,
    /// VGG-16 file in place of the one `beta.toml` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vgg: Option<VggFile>,
    /// The network.
    pub fusion: FusionSettings,
}

impl Default for FusionTrainConfig {
    fn default() -> Self {
        FusionTrainConfig {
            seed: 1,
            device: "auto".to_owned(),
            threads: 0,
            epochs: 100,
            iterations: None,
            batch: 8,
            crop_px: [320, 320],
            save_every: 50,
            validate_every: 500,
            data: DataSettings::default(),
            beta: PathBuf::from("beta.toml"),
            vgg: None,
            fusion: FusionSettings::default(),
        }
    }
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Finished {
    /// Iterations done in all.
    pub iterations: usize,
    /// Whether it was asked to stop before its end.
    pub interrupted: bool,
    /// Weighted loss of the last iteration.
    pub last_loss: f64,
}

/// State of a training.
struct Training {
    net: FusionNet,
    adam: Adam,
    loss: FusionLoss,
    weights: Tensor,
    iteration: usize,
    rate: f64,
}

/// Trains, or goes on with a training that was interrupted, in the folder `out`: `config.toml`, `beta.toml` (a copy), `log.csv`,
/// `state.safetensors`, `panel.png` and the result `fusion.safetensors`.
///
/// # Errors
/// On bad settings or data, when `out` belongs to another training, or when a value stops being a number.
pub fn train(
    config: &FusionTrainConfig,
    out: &Path,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<Finished, SearchError> {
    check(config)?;
    let device = caf_torch::device_from_name(&config.device)?;
    if config.threads > 0 {
        tch::set_num_threads(i32::try_from(config.threads).unwrap_or(i32::MAX));
    }
    let DataSettings { root, train, val, ir_range, saliency, cache_mib, .. } = &config.data;
    let open = |list: &Option<PathBuf>| {
        Dataset::open(root, &DatasetOptions { list: list.clone(), labels: Need::Ignore, ir_range: *ir_range })
    };
    let pairs = open(train)?;
    let val = val.is_some().then(|| open(val)).transpose()?;
    let store = Arc::new(PairStore::new(pairs, *saliency, cache_mib.saturating_mul(1 << 20)));
    let beta = BetaFile::read(&config.beta)?;
    make_folder(out)?;
    let mut training = Training::new(config, &beta, device)?;
    progress.say(&training.loss.status());
    if out.join(STATE).exists() {
        training.restore(config, out, device)?;
        progress.say(&format!("going on after {} iterations", training.iteration));
    }
    write_toml(&out.join("config.toml"), config)?;
    beta.write(&out.join("beta.toml"))?;
    let [width_px, height_px] = config.crop_px;
    let crop = CropSettings { width_px, height_px, mirror_probability: 0.5 };
    let plan =
        CropPlan { seed: config.seed, stream: Stream::Train, pairs: store.dataset().len(), batch: config.batch, crop };
    let end = config.iterations.unwrap_or(config.epochs * plan.batches_per_epoch());
    let mut record = Record::open(&out.join("log.csv"), &training.columns(), training.iteration)?;
    let feed = Feed::start(store, plan, training.iteration, end)?;
    progress.begin("train fusion", end as u64, training.iteration as u64);
    let mut last_loss = f64::NAN;
    while training.iteration < end && !stop.is_raised() {
        let Some(host) = feed.next_batch()? else { break };
        let began = Instant::now();
        let batch = PairBatch::new(host, device, Kind::Float)?;
        let (total, terms) = training.step(&batch)?;
        let done = training.iteration;
        let mut row = vec![Some(began.elapsed().as_secs_f64() * 1e3), Some(total)];
        row.extend(terms.into_iter().map(Some));
        record.row(done - 1, &row)?;
        last_loss = total;
        if done.is_multiple_of(config.save_every) {
            training.save(config, out)?;
        }
        if let Some(val) = &val
            && done.is_multiple_of(config.validate_every)
        {
            training.validate(val, out)?;
        }
        progress.advance(done as u64, &format!("loss {total:.4}"));
    }
    progress.end();
    training.save(config, out)?;
    training.net.write(&out.join("fusion.safetensors"))?;
    if let Some(val) = &val {
        training.validate(val, out)?;
    }
    Ok(Finished { iterations: training.iteration, interrupted: training.iteration < end, last_loss })
}

fn check(config: &FusionTrainConfig) -> Result<(), SearchError> {
    require_extent(config.batch, config.epochs, config.iterations)?;
    require("save_every", config.save_every > 0, "at least 1", config.save_every)?;
    require("validate_every", config.validate_every > 0, "at least 1", config.validate_every)?;
    for side in config.crop_px {
        require("crop_px", (16..=MAX_SIDE_PX).contains(&side), &format!("16 to {MAX_SIDE_PX}"), side)?;
    }
    let rate = config.fusion.rate;
    require("fusion.rate", rate.is_finite() && rate > 0.0, "a number above 0", rate)
}

impl Training {
    fn new(config: &FusionTrainConfig, beta: &BetaFile, device: Device) -> Result<Self, SearchError> {
        let mut loss_config = beta.direct_config();
        if let Some(vgg) = &config.vgg {
            loss_config.vgg = Some(vgg.clone());
        }
        let loss = FusionLoss::new(&loss_config, device, Kind::Float)?;
        let weights = beta.direct(loss.active(), device, Kind::Float)?;
        let net = match &config.fusion.init {
            Some(path) => FusionNet::read(path, device)?,
            None => FusionNet::fresh(config.fusion.network, config.seed, device)?,
        };
        let adam = Adam::new(AdamConfig::default(), &net.params.trainable())?;
        Ok(Training { net, adam, loss, weights, iteration: 0, rate: config.fusion.rate })
    }

    /// One batch: total and terms.
    fn step(&mut self, batch: &PairBatch) -> Result<(f64, Vec<f64>), SearchError> {
        let sources = self.loss.sources(&batch.ir, &batch.vi, &Masks::Complementary(batch.mask.shallow_clone()))?;
        let (recording, leaves) = self.net.params.recording()?;
        let fused = self.net.fuse(&recording, &batch.ir, &batch.vi, Mode::Train)?;
        let terms = self.loss.terms(&fused, &sources)?;
        if let Some(term) = terms.first_non_finite()? {
            return Err(SearchError::NonFinite {
                what: format!("fusion-loss term `{term}`"),
                iteration: self.iteration,
            });
        }
        let total = self.loss.total(&terms, &self.weights)?;
        let grads = gradients(&total, &leaves, GradOptions::default())?;
        self.adam.step(&self.net.params.trainable(), &grads, self.rate)?;
        self.iteration += 1;
        Ok((f64::try_from(&total)?, terms.to_vec()?.into_iter().map(|(_, v)| v).collect()))
    }

    fn columns(&self) -> Vec<String> {
        let fixed = ["iteration", "ms", "total"].map(str::to_owned);
        fixed.into_iter().chain(self.loss.active().iter().map(|t| format!("term.{t}"))).collect()
    }

    /// Writes a picture of some validation pairs.
    fn validate(&self, val: &Dataset, out: &Path) -> Result<(), SearchError> {
        let mut copy = FusionNet::fresh(*self.net.config(), 0, self.net.params.device())?;
        copy.params = self.net.params.shallow_clone();
        let folder = out.join("panels");
        make_folder(&folder)?;
        panel(val, &[&Fuser::Network(Box::new(copy))], 4, &folder.join(format!("{:06}.png", self.iteration)))
    }

    fn save(&self, config: &FusionTrainConfig, out: &Path) -> Result<(), SearchError> {
        let path = out.join(STATE);
        let mut all = Weights::new();
        for (name, tensor) in self.net.params.to_weights(self.net.graph())?.iter() {
            all.insert(format!("fusion/{name}"), tensor.clone())?;
        }
        self.adam.save(&mut all, "adam")?;
        all.insert("iteration", HostTensor::from_i64(&[], &[self.iteration as i64])?)?;
        all.set_metadata(CONFIG_KEY, identity(config, &path)?);
        Ok(save_safetensors(&all, &path)?)
    }

    fn restore(&mut self, config: &FusionTrainConfig, out: &Path, device: Device) -> Result<(), SearchError> {
        let path = out.join(STATE);
        let all = load_safetensors(&path)?;
        let refuse = |what: &str| SearchError::Resume { path: path.clone(), what: what.to_owned() };
        if all.metadata().get(CONFIG_KEY) != Some(&identity(config, &path)?) {
            return Err(refuse("it belongs to a training with other settings; give another --out"));
        }
        let mut fusion = Weights::new();
        for (name, tensor) in all.iter() {
            if let Some(rest) = name.strip_prefix("fusion/") {
                fusion.insert(rest, tensor.clone())?;
            }
        }
        let params = Params::from_weights(self.net.graph(), &fusion, device, Kind::Float)?;
        let stored = all.get("iteration").map(HostTensor::to_i64_vec).transpose()?.unwrap_or_default();
        let iteration =
            stored.first().and_then(|n| usize::try_from(*n).ok()).ok_or_else(|| refuse("it has no iteration"))?;
        self.adam.load(&all, "adam")?;
        self.net.params = params;
        self.iteration = iteration;
        Ok(())
    }
}

/// The configuration without what may change when a training goes on.
fn identity(config: &FusionTrainConfig, path: &Path) -> Result<String, SearchError> {
    let stays = FusionTrainConfig {
        epochs: 0,
        iterations: None,
        save_every: 0,
        validate_every: 0,
        device: String::new(),
        threads: 0,
        ..config.clone()
    };
    serde_json::to_string(&stays).map_err(|source| SearchError::Json { path: path.to_owned(), source })
}
