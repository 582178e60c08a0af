//! Measuring a task network while it is trained: the log of scores, and the best network so far.

use super::config::TaskTrainConfig;
use crate::error::SearchError;
use crate::loader::TaskImages;
use crate::record::Record;
use crate::run_settings::RunSettings;
use crate::tasks::{TaskKind, TaskReport};
use serde::Serialize;
use std::path::Path;

/// Name of the log in a result folder: one row a validation.
pub(super) const LOG: &str = "validation.csv";

/// Scores of one validation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Validated {
    /// Iterations done before it.
    pub iteration: usize,
    /// In the order of the task's scores.
    pub scores: Vec<f64>,
    /// What the best network is chosen by; larger is better.
    pub fitness: f64,
}

/// When to validate, and what came of it.
pub(super) struct Validation {
    every: usize,
    patience: usize,
    record: Option<Record>,
    last: Option<usize>,
    best: Option<Validated>,
}

impl Validation {
    pub fn new(config: &TaskTrainConfig, images: &TaskImages) -> Self {
        let RunSettings { batch, .. } = config.run;
        let epoch = images.len().div_ceil(batch.max(1)).max(1);
        Validation {
            every: config.validation.every.unwrap_or(epoch),
            patience: config.validation.patience,
            record: None,
            last: None,
            best: None,
        }
    }

    /// Opens the log in the result folder, up to the iterations that are done.
    pub fn open(&mut self, out: &Path, kind: &TaskKind, done: usize) -> Result<(), SearchError> {
        let columns = ["iteration"].into_iter().chain(kind.scores.iter().copied()).chain(["fitness"]);
        let columns: Vec<String> = columns.map(str::to_owned).collect();
        let record = Record::open(&out.join(LOG), &columns, done.saturating_add(1))?;
        // Numbers are written so that they read back as the same bits.
        for row in record.read()? {
            let Some((fitness, scores)) = row.values.split_last() else { continue };
            let number = |value: &Option<f64>| value.unwrap_or(f64::NAN);
            let scores = scores.iter().map(number).collect();
            self.last = Some(row.number);
            self.take(Validated { iteration: row.number, scores, fitness: number(fitness) });
        }
        self.record = Some(record);
        Ok(())
    }

    /// Whether images are to be measured after so many iterations, and have not been.
    pub fn is_due(&self, done: usize, end: usize) -> bool {
        let wanted = done > 0 && (done.is_multiple_of(self.every) || done >= end);
        wanted && self.last.is_none_or(|last| last < done)
    }

    /// Whether so many validations have brought nothing better that there is no patience left.
    pub fn is_out_of_patience(&self, done: usize) -> bool {
        let since = self.best.as_ref().map_or(0, |best| done.saturating_sub(best.iteration));
        self.patience > 0 && since >= self.patience.saturating_mul(self.every)
    }

    /// Whether a measurement is the best so far.
    pub fn is_best(&self, report: &TaskReport) -> bool {
        self.best.as_ref().is_none_or(|best| report.fitness > best.fitness)
    }

    /// Logs a measurement.
    pub fn log(&mut self, report: &TaskReport, iteration: usize) -> Result<(), SearchError> {
        if let Some(record) = &mut self.record {
            record.row(iteration, report.scores.iter().copied().chain([report.fitness]).map(Some).collect())?;
            record.sync()?;
        }
        self.last = Some(iteration);
        self.take(Validated { iteration, scores: report.scores.clone(), fitness: report.fitness });
        Ok(())
    }

    fn take(&mut self, found: Validated) {
        if self.best.as_ref().is_none_or(|best| found.fitness > best.fitness) {
            self.best = Some(found);
        }
    }

    /// The best so far.
    pub fn best(&self) -> Option<&Validated> {
        self.best.as_ref()
    }
}
