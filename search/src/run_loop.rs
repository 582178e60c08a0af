//! The loop of every training: step, row of the log, validation, checkpoint, until the end or a request to stop.
//!
//! Of several ranks every one goes through all of it, so that all of them know the same; files are written by the first alone.

use crate::error::SearchError;
use crate::file::make_folder;
use crate::lock::FolderLock;
use crate::record::Record;
use crate::state::{STATE, resumed};
use caf_console::{Progress, StopFlag};
use std::path::Path;
use std::time::Instant;

/// Name of the log in a result folder: one row an iteration.
pub const LOG: &str = "log.csv";
/// Name of the resolved settings in a result folder.
pub const CONFIG: &str = "config.toml";

/// What an iteration measured.
pub(crate) struct Step {
    /// Values of the log's columns after `iteration` and `ms`.
    pub values: Vec<Option<f64>>,
    /// The same in a few words.
    pub state: String,
}

/// A training, as the loop sees it.
pub(crate) trait Training {
    /// What it does, for the progress line.
    fn name(&self) -> &'static str;

    /// Columns of the log after `iteration` and `ms`.
    fn columns(&self) -> Vec<String>;

    /// Iterations done.
    fn iteration(&self) -> usize;

    /// Iterations in all.
    fn end(&self) -> usize;

    /// Whether it has ended before [`Training::end`].
    fn ends_early(&self) -> bool {
        false
    }

    /// Continues from the state in a folder; false when there is none.
    fn restore(&mut self, out: &Path) -> Result<bool, SearchError>;

    /// Starts to prepare batches, from the next iteration on. An error says that the first of them cannot be read.
    fn feed(&mut self) -> Result<(), SearchError>;

    /// Writes settings and opens further logs. The folder exists, and everything else has proved good.
    fn open(&mut self, out: &Path) -> Result<(), SearchError>;

    /// One iteration. An error leaves the saved state valid, not this one.
    fn step(&mut self) -> Result<Step, SearchError>;

    /// Whether a validation is due and has not been done.
    fn owes_validation(&self) -> bool {
        false
    }

    /// Validates. False when it was stopped in between: nothing has changed then.
    fn validate(&mut self, _out: &Path, _progress: &dyn Progress, _stop: &StopFlag) -> Result<bool, SearchError> {
        Ok(true)
    }

    /// Writes everything that the next iteration depends on, aside first and then renamed.
    fn save(&self, out: &Path) -> Result<(), SearchError>;

    /// Writes what a user takes away.
    fn write_results(&self, out: &Path) -> Result<(), SearchError>;
}

/// Runs a training in the folder `out`, or goes on with one that was interrupted there. True when it came to its end; false when
/// it was stopped, and the same call goes on.
///
/// Nothing is made in the folder before a state that lies there has been read and the first batch has been prepared. A row of
/// the log is written before the state that follows it, and rows beyond the state are dropped on resuming: whatever the moment of
/// an interruption, log and state agree. A validation that a kill or a stop prevented is owed to the next start.
///
/// # Errors
/// [`SearchError::InUse`] when another run works there, and all those of the training. Where a rank is gone, whatever failed here because
/// of it, [`SearchError::Ranks`] says which.
pub(crate) fn run_loop(
    training: &mut dyn Training,
    out: &Path,
    save_every: usize,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<bool, SearchError> {
    go_through(training, out, save_every, progress, stop)
        .map_err(|error| caf_ranks::gone().map_or(error, SearchError::Ranks))
}

fn go_through(
    training: &mut dyn Training,
    out: &Path,
    save_every: usize,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<bool, SearchError> {
    let leads = caf_ranks::leads();
    let mut lock = if leads { FolderLock::take(out, progress)? } else { None };
    let is_resumed = training.restore(out)?;
    let done = format!("{} iterations", training.iteration());
    caf_ranks::agree(&format!("the state in {} (all ranks must see one folder)", out.display()), &done)?;
    training.feed()?;
    if leads {
        make_folder(out)?;
    }
    if leads && lock.is_none() {
        lock = FolderLock::take(out, progress)?;
        if out.join(STATE).exists() {
            // Another run has made it meanwhile, and ended already.
            return Err(SearchError::InUse { path: out.to_owned() });
        }
    }
    training.open(out)?;
    if is_resumed {
        progress.say(&resumed(training.iteration(), training.end(), training.ends_early()));
    }
    let columns: Vec<String> = ["iteration", "ms"].map(str::to_owned).into_iter().chain(training.columns()).collect();
    let mut record = Record::open(&out.join(LOG), &columns, training.iteration())?;
    record.tell_missing(training.iteration(), progress);
    let is_over = |t: &dyn Training| t.iteration() >= t.end() || t.ends_early();
    progress.begin(training.name(), training.end() as u64, training.iteration() as u64);
    let mut unsaved = false;
    loop {
        // Before the state is saved: it knows no iteration whose validation is not done, or still owed.
        if training.owes_validation() {
            let validated = training.validate(out, progress, stop)?;
            if caf_ranks::any(!validated)? {
                break;
            }
        }
        if leads && unsaved && training.iteration().is_multiple_of(save_every.max(1)) {
            record.sync()?;
            training.save(out)?;
            unsaved = false;
        }
        if caf_ranks::any(is_over(training) || stop.is_raised())? {
            break;
        }
        let began = Instant::now();
        let step = training.step()?;
        unsaved = true;
        let mut row = vec![Some(began.elapsed().as_secs_f64() * 1e3)];
        row.extend(step.values);
        record.row(training.iteration() - 1, row)?;
        progress.advance(training.iteration() as u64, &step.state);
    }
    progress.end();
    if leads {
        if unsaved {
            record.sync()?;
            training.save(out)?;
        }
        training.write_results(out)?;
    }
    drop(lock);
    Ok(is_over(training) && !training.owes_validation())
}
