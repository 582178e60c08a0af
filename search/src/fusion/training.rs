//! The state of a fusion network's training, and its step.

use super::config::FusionTrainConfig;
use super::teacher::Teacher;
use crate::descent::descend;
use crate::error::SearchError;
use crate::fusion_net::FusionNet;
use crate::loader::PairBatch;
use crate::run_settings::{DataSettings, FusionSettings, RunSettings};
use crate::search::BetaFile;
use crate::state::{Run, STATE, entry, fingerprint, insert, iteration, part};
use crate::weight_file::write_weights;
use caf_data::Dataset;
use caf_fusion_loss::{FusionLoss, Saliency};
use caf_torch::optim::{Adam, AdamConfig};
use caf_torch::{Mode, Params, gradients_of_all};
use caf_weights::{HostTensor, Weights};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Settings that may change when a training goes on.
const FREE: [&str; 5] = ["run.epochs", "run.iterations", "validation", "beta", "teacher.file"];

/// The network, its optimiser and its loss.
pub(super) struct FusionTraining {
    run: Run,
    device: Device,
    pub net: FusionNet,
    adam: Adam,
    pub loss: FusionLoss,
    weights: Tensor,
    teacher: Option<Teacher>,
    /// Iterations done.
    pub iteration: usize,
    /// Weighted loss of the last iteration.
    pub last_loss: Option<f64>,
    seed: u64,
    settings: FusionSettings,
    end: usize,
}

impl FusionTraining {
    /// Fresh state.
    pub fn new(
        config: &FusionTrainConfig,
        beta: &BetaFile,
        pairs: &Dataset,
        device: Device,
    ) -> Result<Self, SearchError> {
        let mut loss_config = beta.direct_config();
        if let Some(vgg) = &config.vgg {
            loss_config.vgg = Some(vgg.clone());
        }
        let loss = FusionLoss::new(&loss_config, device, Kind::Float)?;
        let weights = beta.direct(loss.active(), device, Kind::Float)?;
        let net = config.fusion.start(config.run.seed, config.data.ir_range, device)?;
        let adam = Adam::new(AdamConfig::default(), &net.params.trainable())?;
        let (range, size) = (config.data.ir_range, config.run.size_px);
        let teacher =
            config.teacher.as_ref().map(|settings| Teacher::new(settings, range, size, device)).transpose()?;
        // The loss and the teacher themselves, not the names of their files: these may have been written anew meanwhile.
        let mut settings = serde_json::json!({ "training": config, "weights": beta.weights, "loss": loss_config });
        if let Some(teacher) = &config.teacher {
            settings["teacher"] = teacher.hash()?.to_string().into();
        }
        let free = [&FREE[..], &RunSettings::FREE, &DataSettings::FREE].concat();
        let free: Vec<String> = free.iter().map(|key| format!("training.{key}")).collect();
        let free: Vec<&str> = free.iter().map(String::as_str).collect();
        let run = Run::new("training of a fusion network", &settings, &free, &[("training pairs", fingerprint(pairs))]);
        Ok(FusionTraining {
            run,
            device,
            net,
            adam,
            loss,
            weights,
            teacher,
            iteration: 0,
            last_loss: None,
            settings: config.fusion.clone(),
            end: config.run.end(pairs.len()),
            seed: config.run.seed,
        })
    }

    /// One batch: total and terms.
    pub fn step(&mut self, batch: &PairBatch) -> Result<(f64, Vec<f64>), SearchError> {
        let (recording, leaves) = self.net.params.recording()?;
        let mode = Mode::train(self.seed, self.iteration as u64);
        let (_, total, values) = self.evaluate(&recording, [&batch.ir, &batch.vi, &batch.saliency], mode)?;
        let grads = gradients_of_all(&total, &leaves)?;
        let rate = self.settings.rate_after(self.iteration, self.end);
        let (trainable, adam) = (self.net.params.trainable(), &mut self.adam);
        descend("the fusion network", self.iteration, &grads, None, |grads| adam.step(&trainable, grads, rate))?;
        self.iteration += 1;
        let mut values = caf_ranks::mean_numbers(std::iter::once(f64::try_from(&total)?).chain(values).collect())?;
        let total = values.remove(0);
        self.last_loss = Some(total);
        Ok((total, values))
    }

    /// Fused luma, weighted loss (with the distance to a teacher) and terms of infrared, visible luma and saliency, `[n, 1, h, w]` each.
    pub fn evaluate(
        &self,
        params: &Params,
        [ir, vi, saliency]: [&Tensor; 3],
        mode: Mode,
    ) -> Result<(Tensor, Tensor, Vec<f64>), SearchError> {
        let sources = self.loss.sources(ir, vi, &Saliency::Complementary(saliency.shallow_clone()))?;
        let fused = self.net.fuse(params, ir, vi, mode)?;
        let (terms, mut total) = self.loss.terms_and_total(&fused, &sources, &self.weights)?;
        if let Some(term) = terms.first_non_finite()? {
            let what = format!("fusion-loss term `{term}`");
            return Err(SearchError::NonFinite { what, iteration: self.iteration });
        }
        let mut values: Vec<f64> = terms.to_vec()?.into_iter().map(|(_, value)| value).collect();
        if let Some(teacher) = &self.teacher {
            let (distance, parts) = teacher.distance(&fused, [ir, vi])?;
            total = total.f_add(&distance)?;
            values.extend(parts);
        }
        Ok((fused, total, values))
    }

    /// Names of the terms: those of the found loss, and the parts of the distance to a teacher.
    pub fn terms(&self) -> impl Iterator<Item = &'static str> {
        let of_teacher = self.teacher.iter().flat_map(|_| Teacher::names());
        self.loss.active().iter().map(|term| term.name()).chain(of_teacher)
    }

    /// A column for each term.
    pub fn term_columns(&self) -> impl Iterator<Item = String> {
        self.terms().map(|term| format!("term.{term}"))
    }

    /// Writes everything that the next iteration depends on.
    pub fn save(&self, folder: &Path) -> Result<(), SearchError> {
        let mut all = Weights::new();
        insert(&mut all, "fusion", &self.net.params.to_weights(self.net.graph())?)?;
        self.adam.save(&mut all, "adam")?;
        all.insert("iteration", HostTensor::from_i64(&[], &[self.iteration as i64])?)?;
        let last_loss: Vec<i64> = self.last_loss.iter().map(|loss| loss.to_bits().cast_signed()).collect();
        all.insert("last_loss", HostTensor::from_i64(&[last_loss.len()], &last_loss)?)?;
        self.run.describe(&mut all);
        Ok(write_weights(&all, &folder.join(STATE))?)
    }

    /// Continues from the state in a folder; false when there is none.
    pub fn restore(&mut self, folder: &Path) -> Result<bool, SearchError> {
        let Some(all) = self.run.find(folder)? else { return Ok(false) };
        let params = Params::from_weights(self.net.graph(), &part(&all, "fusion")?, self.device, Kind::Float)?;
        self.adam.load(&all, "adam")?;
        let iteration = iteration(&all, folder, &self.adam)?;
        let last_loss = entry(&all, folder, "last_loss")?.to_i64_vec()?;
        self.last_loss = last_loss.first().map(|bits| f64::from_bits(bits.cast_unsigned()));
        self.net.params = params;
        self.iteration = iteration;
        Ok(true)
    }
}
