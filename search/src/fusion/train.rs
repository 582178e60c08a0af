//! Training the fusion network with a found loss: the loop.

use super::config::FusionTrainConfig;
use super::training::Training;
use super::validation::{Validated, Validation};
use crate::device;
use crate::error::SearchError;
use crate::file::{make_folder, write_toml};
use crate::pairs::{Feed, PairStore, Stream, check_crop};
use crate::record::Record;
use crate::search::BetaFile;
use crate::state::resumed;
use caf_console::{Progress, StopFlag};
use caf_data::Need;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
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
    let device = device::prepare(&config.device, config.threads)?;
    let data = &config.data;
    let pairs = data.open(data.train.as_deref(), Need::Ignore)?;
    check_crop(&[&pairs], config.crop_px, progress)?;
    let val = data.val.as_deref().map(|list| data.open(Some(list), Need::Ignore)).transpose()?;
    let beta = BetaFile::read(&config.beta)?;
    let mut training = Training::new(config, &beta, &pairs, device)?;
    training.net.tell(progress);
    progress.say(&training.loss.status());
    let (course, count) = (config.course(), pairs.len());
    let end = course.end(count);
    if training.restore(out)? {
        progress.say(&resumed(training.iteration, end));
    }
    let store = Arc::new(PairStore::new(pairs, data.saliency, data.cache_bytes()));
    let mut feed = Feed::start(store, course.plan(Stream::Train, count), training.iteration, end)?;
    let mut validation = val.map(|val| Validation::new(val, config)).transpose()?;

    make_folder(out)?;
    write_toml(&out.join("config.toml"), config)?;
    beta.write(&out.join("beta.toml"))?;
    let mut record = Record::open(&out.join("log.csv"), &training.columns(), training.iteration)?;
    record.tell_missing(training.iteration, progress);
    if let Some(validation) = &mut validation {
        validation.open(out, &training)?;
    }
    progress.begin("train fusion", end as u64, training.iteration as u64);
    let mut unsaved = false;
    loop {
        // Before the state is saved: a validation that a kill or a stop prevented is owed to the next start.
        if let Some(validation) = validation.as_mut().filter(|v| v.is_due(training.iteration, end))
            && !validation.run(&training, stop)?
        {
            break;
        }
        if unsaved && training.iteration.is_multiple_of(config.save_every) {
            record.sync()?;
            training.save(out)?;
            unsaved = false;
        }
        if training.iteration >= end || stop.is_raised() {
            break;
        }
        let batch = feed.next_batch(device, Kind::Float)?;
        let began = Instant::now();
        let (total, terms) = training.step(&batch)?;
        unsaved = true;
        let mut row = vec![Some(began.elapsed().as_secs_f64() * 1e3), Some(total)];
        row.extend(terms.into_iter().map(Some));
        record.row(training.iteration - 1, row)?;
        let validated = validation.as_ref().and_then(Validation::last).map_or_else(String::new, |v| format!("  {v}"));
        progress.advance(training.iteration as u64, &format!("loss {total:.4}{validated}"));
    }
    progress.end();
    if unsaved {
        record.sync()?;
        training.save(out)?;
    }
    training.net.write(&out.join("fusion.safetensors"), data.ir_range)?;
    let owed = validation.as_ref().is_some_and(|v| v.is_due(training.iteration, end));
    Ok(Finished {
        iterations: training.iteration,
        interrupted: training.iteration < end || owed,
        // The second column after the iteration, see `Training::columns`.
        last_loss: record.last().and_then(|row| row.values.get(1).copied().flatten()),
        validation: validation.and_then(|v| v.last().cloned()),
    })
}
