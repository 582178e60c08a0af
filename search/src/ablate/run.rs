//! The loop over the jobs of a study.

use super::contender::Contender;
use super::folder::{files, render, wait_for};
use super::identity::claim;
use super::job::{Job, Pairs, jobs};
use super::rows::{Row, Rows};
use super::study::Study;
use super::telling::Telling;
use super::work::Bench;
use crate::error::SearchError;
use crate::file::make_folder;
use crate::lock::FolderLock;
use crate::run_settings::prepare_device;
use crate::weight_file::SaveError;
use caf_console::{Progress, StopFlag};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Time between two looks at jobs that other processes have.
const POLL: Duration = Duration::from_secs(1);

/// How far a study came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finished {
    /// Jobs in all.
    pub jobs: usize,
    /// Those that have a row.
    pub done: usize,
    /// Whether it was asked to stop before the last.
    pub interrupted: bool,
    /// Failed jobs, each with the reason: a loss that stopped being a number, a network that makes no image.
    pub failed: Vec<String>,
}

/// The rows of a study that are there.
///
/// # Errors
/// When the file is none of a study.
pub fn open(folder: &Path) -> Result<Option<Rows>, SearchError> {
    Rows::read(&folder.join(files::ROWS))
}

/// Works through a study in a folder, or goes on with it; `on_row` is called after every row.
///
/// A job whose folder another process has is left to it; when nothing else is left, the others are waited for, and what they leave
/// undone is taken over. A failed job is told and skipped; the same call tries it again.
///
/// # Errors
/// Bad settings, data or weights; [`SearchError::State`] when the folder belongs to a study with other settings, with all that
/// differs; when the disk refuses.
pub fn run(
    study: &Study,
    folder: &Path,
    progress: &dyn Progress,
    stop: &StopFlag,
    on_row: &mut dyn FnMut(&Rows) -> Result<(), SearchError>,
) -> Result<Finished, SearchError> {
    let contenders = study.check()?;
    let device = prepare_device(&study.run.device, study.run.threads)?;
    let jobs = jobs(study, &contenders);
    let (mut bench, mut rows, pairs) = prepare(study, folder, &contenders, device, progress, stop)?;
    let telling = Telling::new(progress);
    let steps: Vec<u64> = jobs.iter().map(|job| job.steps(study, pairs)).collect();
    let done = |rows: &Rows| jobs.iter().zip(&steps).filter(|(job, _)| rows.has(&job.key())).map(|(_, n)| n).sum();
    progress.begin("ablate", steps.iter().sum(), done(&rows));
    let mut failed = Failed::default();
    let outcome = loop {
        rows = Rows::open(&folder.join(files::ROWS), &rows.columns)?;
        let open: Vec<usize> = (0..jobs.len())
            .filter(|i| jobs.get(*i).is_some_and(|job| !rows.has(&job.key()) && !failed.has(*i)))
            .collect();
        if open.is_empty() || stop.is_raised() {
            break Ok(());
        }
        let Some(taken) = take(&open, &jobs, &bench, progress)? else {
            progress.advance(done(&rows), &format!("{} jobs left, all being done by other processes", open.len()));
            sleep(POLL);
            continue;
        };
        let Taken { index, job, .. } = taken;
        // Another process may have done it between the look at the rows and the lock.
        if Rows::open(&folder.join(files::ROWS), &rows.columns)?.has(&job.key()) {
            continue;
        }
        let number = jobs.len() - open.len() + 1;
        let name = format!("{number}/{} {}", jobs.len(), job.key());
        telling.job(name, done(&rows), steps.get(index).copied().unwrap_or(0));
        let began = Instant::now();
        match bench.measure(job, &telling, stop) {
            Ok(values) => {
                let seconds = began.elapsed().as_secs_f64();
                let group = job.contender.group.clone();
                let own = wait_for(folder, progress, &StopFlag::default())?;
                rows.add(Row { key: job.key(), group, values, seconds })?;
                drop(own);
                let cell = job.cell();
                let is_last = jobs.iter().filter(|other| other.cell() == cell).all(|other| rows.has(&other.key()));
                bench.clear(job, is_last)?;
                drop(taken);
                on_row(&rows)?;
            }
            Err(SearchError::Interrupted) => break Ok(()),
            Err(error) if is_of_method(&error) => {
                progress.say(&format!("{}: {error}; skipped", job.key()));
                failed.add(index, format!("{}: {error}", job.key()));
            }
            Err(error) => break Err(error),
        }
    };
    progress.end();
    outcome?;
    let done = jobs.iter().filter(|job| rows.has(&job.key())).count();
    let interrupted = done + failed.reasons.len() < jobs.len();
    Ok(Finished { jobs: jobs.len(), done, interrupted, failed: failed.reasons })
}

/// Whether a job failed by what its method is: numbers that are none. Everything else would fail with the other jobs, too.
fn is_of_method(error: &SearchError) -> bool {
    let numbers = matches!(error, SearchError::NonFinite { .. } | SearchError::NonFiniteImage { .. });
    numbers || matches!(error, SearchError::Save(SaveError::NonFinite { .. }))
}

/// Failed jobs of this process.
#[derive(Default)]
struct Failed {
    jobs: BTreeSet<usize>,
    reasons: Vec<String>,
}

impl Failed {
    fn has(&self, job: usize) -> bool {
        self.jobs.contains(&job)
    }

    fn add(&mut self, job: usize, reason: String) {
        self.jobs.insert(job);
        self.reasons.push(reason);
    }
}

/// Makes the folder that of the study: pairs, settings, an empty list of rows.
fn prepare<'a>(
    study: &'a Study,
    folder: &'a Path,
    contenders: &[Contender],
    device: tch::Device,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<(Bench<'a>, Rows, Pairs), SearchError> {
    let own = wait_for(folder, progress, stop)?;
    claim(folder, study, contenders)?;
    render(folder, study, progress)?;
    let bench = Bench::new(study, folder, device)?;
    let rows = Rows::open(&folder.join(files::ROWS), &bench.columns())?;
    let pairs = bench.pairs()?;
    drop(own);
    Ok((bench, rows, pairs))
}

/// A job that this process does; its folder is locked as long as this lives.
struct Taken<'j, 'a> {
    index: usize,
    job: &'j Job<'a>,
    _lock: Option<FolderLock>,
}

/// The first of these jobs whose folder no other process has.
fn take<'j, 'a>(
    open: &[usize],
    jobs: &'j [Job<'a>],
    bench: &Bench<'_>,
    progress: &dyn Progress,
) -> Result<Option<Taken<'j, 'a>>, SearchError> {
    for (index, job) in open.iter().filter_map(|index| Some((*index, jobs.get(*index)?))) {
        let cell = bench.cell(job);
        make_folder(&cell)?;
        match FolderLock::take(&cell, progress) {
            Err(SearchError::InUse { .. }) => {}
            taken => return Ok(Some(Taken { index, job, _lock: taken? })),
        }
    }
    Ok(None)
}
