//! Training a detector: the loop.

use super::batch::{Plan, with_batches};
use super::config::{TaskConfig, cells};
use super::error::TaskError;
use super::images::TaskImages;
use super::log::EpochRow;
use super::report::DetectionReport;
use super::trainer::Trainer;
use crate::learning::NOT_ALONE;
use caf_console::{Progress, StopFlag};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// File names in the folder of a training.
pub mod files {
    /// The resolved settings.
    pub const CONFIG: &str = "task.toml";
    /// Everything needed to go on.
    pub const CHECKPOINT: &str = crate::state::STATE;
    /// The weights of the best epoch.
    pub const BEST: &str = "best.safetensors";
    /// The weights of the last epoch.
    pub const LAST: &str = "last.safetensors";
    /// One line an epoch.
    pub const LOG: &str = "log.csv";
}

/// What is trained on what, and where the results go.
pub struct TaskRun<'a> {
    /// Settings.
    pub config: &'a TaskConfig,
    /// Images to train on.
    pub train: &'a TaskImages,
    /// Images to validate on, with the same classes.
    pub val: &'a TaskImages,
    /// Folder of the results; made when absent. A training that was interrupted there goes on.
    pub out_dir: &'a Path,
    /// Looked at after every iteration and between the images of a validation.
    pub stop: &'a StopFlag,
    /// Told how it goes.
    pub progress: &'a dyn Progress,
}

impl TaskRun<'_> {
    /// How its batches are drawn.
    pub(super) fn plan(&self) -> Plan<'_> {
        let TaskConfig { augment, batch, seed, .. } = *self.config;
        Plan { images: self.train, augment, size: self.config.size(), batch, seed }
    }
}

/// How a training ended.
#[derive(Clone, Debug, Serialize)]
pub struct TaskOutcome {
    /// Whether it came to its end; false after a request to stop, when the same call goes on.
    pub finished: bool,
    /// Iterations done, over all starts.
    pub iterations: usize,
    /// Entries taken from the starting weights, of how many; none after a resume.
    pub taken: Option<(usize, usize)>,
    /// Best epoch, from 1.
    pub best_epoch: Option<usize>,
    /// Its weights, once an epoch was validated.
    pub best_weights: Option<PathBuf>,
    /// All epochs.
    pub rows: Vec<EpochRow>,
    /// The last validation, with every class.
    pub last_report: Option<DetectionReport>,
}

/// Trains a detector, or goes on with a training that was interrupted, or finds it finished; see [`TaskConfig`] for the recipe
/// and [`files`] for what it leaves in the folder. Nothing is made there before settings, images, weights and the first batch
/// have proved good.
///
/// On the CPU a training that was stopped (by `stop`, or killed: then from its last checkpoint on) and resumed gives the same
/// bits as one that never was, with the same number of libtorch's threads.
///
/// # Errors
/// Bad settings, images, weights or folder; [`TaskError::State`] when the folder belongs to another run, with all that differs;
/// [`TaskError::NotFinite`] when a part of the loss or the gradient is no number: the last checkpoint is then left as it was.
pub fn train_task(run: &TaskRun<'_>) -> Result<TaskOutcome, TaskError> {
    check(run)?;
    let mut trainer = Trainer::begin(run)?;
    if trainer.is_over() {
        run.progress.say(&format!("nothing left to do: {} iterations are done", trainer.iterations()));
        return Ok(trainer.outcome(true));
    }
    let plan = run.plan();
    let (first, total) = (trainer.iterations(), trainer.total());
    if first > 0 {
        run.progress.say(&format!("going on after {first} iterations"));
    }
    // The first batch shows an image that cannot be read before anything is made.
    if first < total {
        plan.batch(first)?;
    }
    trainer.make_folder()?;
    run.progress.begin("train task", total as u64, first as u64);
    let finished = with_batches(&plan, first..total, run.config.workers, |next| {
        while !trainer.is_over() {
            if !trainer.owes_epoch() {
                trainer.iteration(&next()?)?;
            }
            let ends_epoch = trainer.owes_epoch();
            if ends_epoch && !trainer.finish_epoch()? {
                // Stopped within its validation: the next start owes it.
                trainer.save()?;
                return Ok(false);
            }
            let due = trainer.iterations().is_multiple_of(run.config.checkpoint_every);
            if ends_epoch || due || run.stop.is_raised() {
                trainer.save()?;
            }
            if run.stop.is_raised() {
                return Ok(trainer.is_over());
            }
        }
        Ok(true)
    })?;
    run.progress.end();
    Ok(trainer.outcome(finished))
}

fn check(run: &TaskRun<'_>) -> Result<(), TaskError> {
    run.config.check()?;
    // The images there are may fill no batch.
    if run.train.len() * cells(run.config.size()) == 1 {
        let expected = NOT_ALONE.to_owned();
        return Err(TaskError::Setting { name: "batch", expected, found: "a single training image".to_owned() });
    }
    if run.train.classes() != run.val.classes() {
        return Err(TaskError::Classes { expected: run.train.classes().to_vec(), found: run.val.classes().to_vec() });
    }
    for (what, images, purpose) in [
        ("training", run.train, "there is nothing to learn"),
        ("validation", run.val, "no epoch could be told from another"),
    ] {
        if images.objects() == 0 {
            return Err(TaskError::NoObjects { what, images: images.len(), purpose });
        }
    }
    Ok(())
}
