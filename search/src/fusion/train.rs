//! Training the fusion network with a found loss: what the loop does.

use super::config::FusionTrainConfig;
use super::training::FusionTraining;
use super::validation::{Validated, Validation};
use crate::apart::require_apart;
use crate::error::SearchError;
use crate::file::write_toml;
use crate::layout;
use crate::loader::{Feed, HostPairs, Order, PairBatch, PairBatches, PairStore, Stream, check_crop};
use crate::run_loop::{CONFIG, Step, Training, run_loop};
use crate::search::BetaFile;
use caf_console::{Progress, StopFlag};
use caf_data::augment::CropSettings;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use tch::Kind;

/// How a training ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finished {
    /// Iterations done in all.
    pub iterations: usize,
    /// Whether it was asked to stop before its end.
    pub interrupted: bool,
    /// Weighted loss of the last iteration; none before the first.
    pub last_loss: Option<f64>,
    /// The last validation, when there are validation pairs.
    pub validation: Option<Validated>,
}

/// Trains, or goes on with a training that was interrupted, in the folder `out`: `config.toml`, `beta.toml` (a copy), `log.csv`,
/// `validation.csv`, `panels/ITERATION.png`, `state.safetensors` and the result `fusion.safetensors`. Nothing is made before
/// settings, pairs, weights and the first batch have proved good.
///
/// The result is the network after the last iteration. No network is picked by its validation: no single number tells a good fusion
/// from a bad one (a plain maximum of both images tops some of them), so the numbers are there to be looked at.
///
/// # Errors
/// On bad settings or data, when `out` belongs to another run, or when a value stops being a number.
pub fn train(
    config: &FusionTrainConfig,
    out: &Path,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<Finished, SearchError> {
    config.check()?;
    let (run, data) = (&config.run, &config.data);
    let device = run.prepare()?;
    let pairs = data.open(data.train.as_deref(), None)?;
    check_crop(&[&pairs], run.size_px, progress)?;
    let val = data.val.as_deref().map(|list| data.open(Some(list), None)).transpose()?;
    if let Some(val) = &val {
        require_apart(data, &pairs, val, progress)?;
    }
    let beta = BetaFile::read(&config.beta)?;
    let mut config = config.clone();
    let training = FusionTraining::new(&config, &beta, &pairs, device)?;
    layout::settle(&mut config.run.layout, config.run.size_px, training.net.graph(), Some(out), device, progress)?;
    let config = &config;
    training.net.tell(progress);
    progress.say(&training.loss.status());
    let mut running = Running {
        end: run.end(pairs.len()),
        validation: val.map(|val| Validation::new(val, config)).transpose()?,
        batches: PairBatches {
            order: Order { seed: run.seed, stream: Stream::Train, samples: pairs.len(), batch: run.batch },
            store: Arc::new(PairStore::new(pairs, data.saliency, 0, data.cache_bytes())),
            // Pairs are read without labels: there is nothing to place a crop on.
            crop: CropSettings { size: run.size_px, mirror_probability: 0.5, object_probability: 0.0 },
            jitter: config.teacher.as_ref().map_or(0.0, |teacher| teacher.jitter),
        },
        feed: None,
        last_loss: None,
        training,
        config,
        beta,
    };
    let finished = run_loop(&mut running, out, run.save_every, progress, stop)?;
    Ok(Finished {
        iterations: running.training.iteration,
        interrupted: !finished,
        last_loss: running.last_loss,
        validation: running.validation.and_then(|v| v.last().cloned()),
    })
}

/// A training within the loop.
struct Running<'a> {
    config: &'a FusionTrainConfig,
    beta: BetaFile,
    training: FusionTraining,
    validation: Option<Validation>,
    batches: PairBatches,
    feed: Option<Feed<HostPairs>>,
    end: usize,
    last_loss: Option<f64>,
}

impl Training for Running<'_> {
    fn name(&self) -> &'static str {
        "train fusion"
    }

    fn columns(&self) -> Vec<String> {
        std::iter::once("total".to_owned()).chain(self.training.term_columns()).collect()
    }

    fn iteration(&self) -> usize {
        self.training.iteration
    }

    fn end(&self) -> usize {
        self.end
    }

    fn restore(&mut self, out: &Path) -> Result<bool, SearchError> {
        let found = self.training.restore(out)?;
        self.last_loss = self.training.last_loss;
        Ok(found)
    }

    fn feed(&mut self) -> Result<(), SearchError> {
        let (batches, span) = (self.batches.clone(), [self.training.iteration, self.end]);
        let place = self.batches.store.dataset().root();
        self.feed = Some(Feed::start(move |i| batches.load(i), span, self.config.data.workers, place)?);
        Ok(())
    }

    fn open(&mut self, out: &Path) -> Result<(), SearchError> {
        if caf_ranks::leads() {
            write_toml(&out.join(CONFIG), self.config)?;
            self.beta.write(&out.join("beta.toml"))?;
        }
        self.validation.as_mut().map_or(Ok(()), |validation| validation.open(out, &self.training))
    }

    fn step(&mut self) -> Result<Step, SearchError> {
        let host = self.feed.as_mut().ok_or(SearchError::FeedGone)?.next_batch()?;
        let batch = PairBatch::new(host, self.training.net.params.device(), Kind::Float)?;
        let (total, terms) = self.training.step(&batch)?;
        self.last_loss = Some(total);
        let validated = self.validation.as_ref().and_then(Validation::last);
        let validated = validated.map_or_else(String::new, |v| format!("  {v}"));
        Ok(Step {
            values: std::iter::once(total).chain(terms).map(Some).collect(),
            state: format!("loss {total:.4}{validated}"),
        })
    }

    fn owes_validation(&self) -> bool {
        self.validation.as_ref().is_some_and(|v| v.is_due(self.training.iteration, self.end))
    }

    fn validate(&mut self, _: &Path, _: &dyn Progress, stop: &StopFlag) -> Result<bool, SearchError> {
        self.validation.as_mut().map_or(Ok(true), |validation| validation.run(&self.training, stop))
    }

    fn save(&self, out: &Path) -> Result<(), SearchError> {
        self.training.save(out)
    }

    fn write_results(&self, out: &Path) -> Result<(), SearchError> {
        self.training.net.write(&out.join("fusion.safetensors"), self.config.data.ir_range)
    }
}
