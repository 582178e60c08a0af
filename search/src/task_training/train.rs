//! Training a task network: what the loop does.

use super::config::TaskTrainConfig;
use super::validation::{Validated, Validation};
use crate::apart::require_apart;
use crate::error::SearchError;
use crate::file::write_toml;
use crate::layout;
use crate::loader::{Feed, HostImages, ImageBatches, Order, Stream, TaskImages};
use crate::run_loop::{CONFIG, Step, Training, run_loop};
use crate::run_settings::{DataSettings, RunSettings};
use crate::state::{Run, STATE, StateError, entry};
use crate::tasks::{Purpose, Setup, Task, TaskReport, require_classes};
use crate::weight_file::write_weights;
use caf_console::{Progress, Silent, StopFlag};
use caf_weights::{HostTensor, Metadata, Weights};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use tch::{Device, Kind};

/// File names in the folder of a training.
pub mod files {
    /// The resolved settings.
    pub const CONFIG: &str = crate::run_loop::CONFIG;
    /// Everything needed to go on.
    pub const STATE: &str = crate::state::STATE;
    /// The weights of the best validation.
    pub const BEST: &str = "best.safetensors";
    /// The weights of the last validation.
    pub const LAST: &str = "last.safetensors";
    /// One line an iteration.
    pub const LOG: &str = crate::run_loop::LOG;
    /// One line a validation.
    pub const VALIDATION: &str = super::super::validation::LOG;
}

/// Settings that may change between a stop and a resume without changing any result.
const FREE: [&str; 1] = ["validation.patience"];

/// How a training ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finished {
    /// Iterations done, over all starts.
    pub iterations: usize,
    /// Whether it was asked to stop before its end; the same call then goes on.
    pub interrupted: bool,
    /// The validation whose network is in `best.safetensors`; none before the first.
    pub best: Option<Validated>,
    /// The last validation of this start, with all numbers.
    pub last_report: Option<TaskReport>,
}

/// Trains a task network, or goes on with a training that was interrupted, or finds it finished; see [`files`] for what it leaves
/// in the folder `out`. Nothing is made there before settings, images, weights and the first batch have proved good.
///
/// On the CPU a training that was stopped (by `stop`, or killed: then from its last state on) and resumed gives the same bits as
/// one that never was, with the same number of libtorch's threads.
///
/// # Errors
/// Bad settings, images, weights or folder; [`SearchError::State`] when the folder belongs to another run, with all that differs;
/// [`SearchError::NonFinite`] when a loss or gradient is no number: the last state is then left as it was.
pub fn train(
    config: &TaskTrainConfig,
    out: &Path,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<Finished, SearchError> {
    config.check()?;
    let (run, kind) = (&config.run, config.task.kind());
    let device = run.prepare()?;
    let pairs = |list: Option<&Path>, purpose| {
        let dataset = config.data.open(list, Some(kind.annotation))?;
        kind.annotation.require(&dataset, purpose)?;
        Ok::<_, SearchError>(dataset)
    };
    let (train, val) =
        (pairs(config.data.train.as_deref(), "train on")?, pairs(config.data.val.as_deref(), "validate on")?);
    let images = |pairs| TaskImages::open(pairs, &config.images, kind.annotation, config.data.cache_mib / 2);
    let images = [images(&train)?, images(&val)?];
    require_apart(&config.data, &train, &val, progress)?;
    let [train, val] = images;
    let train = Arc::new(train);
    require_classes("the validation images", train.classes(), val.classes())?;
    let (samples, end) = (train.len(), run.end(train.len()));
    let setup = Setup {
        settings: config.task.table(),
        purpose: Purpose::Training,
        classes: train.classes(),
        size: run.size_px,
        batch: run.batch,
        batches: run.iterations_per_epoch(samples),
        end,
        seed: run.seed,
        ir_range: train.ir_range(),
        device,
        float: Kind::Float,
    };
    let free = [&FREE[..], &RunSettings::FREE, &DataSettings::FREE].concat();
    let prints =
        [("training images", train.fingerprint().to_owned()), ("validation images", val.fingerprint().to_owned())];
    let task = (kind.begin)(&setup)?;
    let mut settled = config.clone();
    layout::settle(&mut settled.run.layout, run.size_px, task.network().raw(), Some(out), device, progress)?;
    let mut running = Running {
        identity: Run::new(&format!("training of a {} network", kind.kind), config, &free, &prints),
        task,
        validation: Validation::new(config, &train),
        batches: ImageBatches {
            order: Order { seed: run.seed, stream: Stream::Train, samples, batch: run.batch },
            images: train,
            augment: config.augment,
            size: run.size_px,
        },
        feed: None,
        iteration: 0,
        last_report: None,
        device,
        config: &settled,
        val,
        end,
    };
    running.task.network().started().into_iter().for_each(|words| progress.say(words));
    let finished = run_loop(&mut running, out, run.save_every, progress, stop)?;
    Ok(Finished {
        iterations: running.iteration,
        interrupted: !finished,
        best: running.validation.best().cloned(),
        last_report: running.last_report,
    })
}

/// A training within the loop.
struct Running<'a> {
    config: &'a TaskTrainConfig,
    identity: Run,
    device: Device,
    task: Box<dyn Task>,
    val: TaskImages,
    validation: Validation,
    batches: ImageBatches,
    feed: Option<Feed<HostImages>>,
    iteration: usize,
    end: usize,
    last_report: Option<TaskReport>,
}

impl Running<'_> {
    fn write_weights(&self, path: &Path) -> Result<(), SearchError> {
        if !caf_ranks::leads() {
            return Ok(());
        }
        let mut weights = self.task.weights()?;
        let ir_range = self.batches.images.ir_range();
        Metadata { ir_range, ..Metadata::default() }.write_to(&mut weights);
        Ok(write_weights(&weights, path)?)
    }
}

impl Training for Running<'_> {
    fn name(&self) -> &'static str {
        "train task"
    }

    fn columns(&self) -> Vec<String> {
        let parts = self.config.task.kind().parts.iter().copied();
        parts.chain(["learning_rate"]).map(str::to_owned).collect()
    }

    fn iteration(&self) -> usize {
        self.iteration
    }

    fn end(&self) -> usize {
        self.end
    }

    fn ends_early(&self) -> bool {
        self.validation.is_out_of_patience(self.iteration)
    }

    fn restore(&mut self, out: &Path) -> Result<bool, SearchError> {
        let Some(state) = self.identity.find(out)? else { return Ok(false) };
        let stored = entry(&state, out, "iteration")?.to_i64_vec()?;
        let done = stored.first().and_then(|n| usize::try_from(*n).ok()).filter(|n| *n <= self.end);
        self.iteration = done.ok_or_else(|| {
            let what = format!("tensor `iteration`: expected 0 to {}, found {stored:?}", self.end);
            StateError::unusable(&out.join(STATE), what)
        })?;
        self.task.load(&state, out)?;
        Ok(true)
    }

    fn feed(&mut self) -> Result<(), SearchError> {
        let (batches, span) = (self.batches.clone(), [self.iteration, self.end]);
        let (workers, place) = (self.config.data.workers, self.batches.images.root());
        self.feed = Some(Feed::start(move |i| batches.load(i), span, workers, place)?);
        Ok(())
    }

    fn open(&mut self, out: &Path) -> Result<(), SearchError> {
        if caf_ranks::leads() {
            write_toml(&out.join(CONFIG), self.config)?;
        }
        self.validation.open(out, self.config.task.kind(), self.iteration)
    }

    fn step(&mut self) -> Result<Step, SearchError> {
        let batch = self.feed.as_mut().ok_or(SearchError::FeedGone)?.next_batch()?;
        let rate = self.task.rate(self.iteration);
        let parts = self.task.train_step(&batch.tensor(self.device)?, &batch.annotations, self.iteration);
        let parts = parts.map_err(|error| match error {
            SearchError::NonFinite { what, iteration } => {
                SearchError::NonFinite { what: format!("{what} (images {})", batch.names.join(", ")), iteration }
            }
            other => other,
        })?;
        self.iteration += 1;
        let names = self.config.task.kind().parts;
        let words: Vec<String> = names.iter().zip(&parts).map(|(name, part)| format!("{name} {part:.4}")).collect();
        Ok(Step { values: parts.into_iter().chain([rate]).map(Some).collect(), state: words.join(" ") })
    }

    fn owes_validation(&self) -> bool {
        self.validation.is_due(self.iteration, self.end)
    }

    fn validate(&mut self, out: &Path, progress: &dyn Progress, stop: &StopFlag) -> Result<bool, SearchError> {
        let report = match self.task.evaluate(&self.val, self.config.validation.batch, &Silent, stop) {
            Err(SearchError::Interrupted) => return Ok(false),
            report => report?,
        };
        // Before its row: a validation that is logged has its network on the disk.
        if self.validation.is_best(&report) {
            self.write_weights(&out.join(files::BEST))?;
        }
        self.write_weights(&out.join(files::LAST))?;
        self.validation.log(&report, self.iteration)?;
        progress.say(&format!("iteration {}: {}", self.iteration, report.line(self.config.task.kind())));
        self.last_report = Some(report);
        Ok(true)
    }

    fn save(&self, out: &Path) -> Result<(), SearchError> {
        let mut state = Weights::new();
        self.task.save(&mut state)?;
        state.insert("iteration", HostTensor::from_i64(&[], &[self.iteration as i64])?)?;
        self.identity.describe(&mut state);
        Ok(write_weights(&state, &out.join(STATE))?)
    }

    fn write_results(&self, _: &Path) -> Result<(), SearchError> {
        // Each validation has written its network.
        Ok(())
    }
}
