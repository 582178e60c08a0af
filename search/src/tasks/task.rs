//! What a task is to the rest of the crate.

use super::network::Network;
use super::setup::Setup;
use crate::error::SearchError;
use crate::loader::{Annotation, Annotations, TaskImages};
use caf_console::{Progress, StopFlag};
use caf_geometry::Size;
use caf_net::Graph;
use caf_net::zoo::network::Sides;
use caf_report::ScoreChart;
use caf_torch::{Mode, Params};
use caf_weights::Weights;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};
use toml::{Table, Value};

/// A kind of task: its facts, and how it begins.
#[derive(Debug)]
pub struct TaskKind {
    /// Its name in settings and reports.
    pub kind: &'static str,
    /// Which networks of the zoo are for it.
    pub network: &'static caf_contract::Task,
    /// What it learns from.
    pub annotation: Annotation,
    /// Sizes of images that it is trained and measured on.
    pub sides: Sides,
    /// Names of the parts of its loss, the total first: columns of the logs.
    pub parts: &'static [&'static str],
    /// Names of what is measured, columns of the validation's log: shares, of which 1 is best, in lower case, other numbers in capitals.
    pub scores: &'static [&'static str],
    /// What is measured of every class, a share of which 1 is best.
    pub class_score: &'static str,
    /// What its plot of a training shows.
    pub chart: ScoreChart,
    /// The settings in full, with defaults for what the table does not name; fails with what is wrong with the table, such as a key
    /// that is no setting.
    pub resolve: fn(Table) -> Result<Table, String>,
    /// Refuses settings out of range, with the name and the value of the first one.
    pub check: fn(&Table) -> Result<(), SearchError>,
    /// The network at its start, with everything that trains it. Fails when the settings are out of range, or the starting weights
    /// cannot be used.
    pub begin: fn(&Setup<'_>) -> Result<Box<dyn Task>, SearchError>,
    /// Measures a network on images, with the default settings; fails as [`Task::evaluate`].
    pub measure: fn(&Measured<'_>) -> Result<TaskReport, SearchError>,
}

/// A network, and the images that it is measured on.
#[derive(Clone, Copy)]
pub struct Measured<'a> {
    /// The network with its decoding.
    pub graph: &'a Graph,
    /// Its values.
    pub params: &'a Params,
    /// Images with annotations, of the network's classes by number.
    pub images: &'a TaskImages,
    /// Width and height that images are fitted into, where the task fits them.
    pub size: Size,
    /// Images in a batch.
    pub batch: usize,
    /// Told how far it is.
    pub progress: &'a dyn Progress,
    /// Asks to stop.
    pub stop: &'a StopFlag,
}

/// A task network while it learns.
pub trait Task {
    /// Its network.
    fn network(&self) -> &Network;

    /// Its parameters.
    fn params(&self) -> &Params {
        self.network().params()
    }

    /// What a user gets: the parameters, or their average.
    fn result(&self) -> &Params {
        self.params()
    }

    /// The loss of a batch under these parameters, a differentiable scalar. Nothing changes with [`Mode::BatchStatistics`], and the
    /// same call gives the same value.
    ///
    /// `image` is RGB `[n, 3, h, w]`, in [0, 1] but for what a fusion network makes of it; it may carry derivatives.
    ///
    /// # Errors
    /// When libtorch refuses, or the annotations do not fit.
    fn loss(
        &self,
        params: &Params,
        image: &Tensor,
        annotations: &Annotations,
        mode: Mode,
    ) -> Result<Tensor, SearchError>;

    /// Learns from the batch of an iteration, counted from 0; the parts of its loss, in the order of [`TaskKind::parts`].
    ///
    /// # Errors
    /// [`SearchError::NonFinite`] before anything has moved, and as [`Task::loss`].
    fn train_step(
        &mut self,
        image: &Tensor,
        annotations: &Annotations,
        iteration: usize,
    ) -> Result<Vec<f64>, SearchError>;

    /// Learning rate of an iteration, that of most parameters.
    fn rate(&self, iteration: usize) -> f64;

    /// [`Task::result`] with metadata that say what it belongs to.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    fn weights(&self) -> Result<Weights, SearchError> {
        self.network().weights(self.result())
    }

    /// Measures a network on images, with its own settings.
    ///
    /// # Errors
    /// As [`Task::evaluate`].
    fn measure(&self, of: &Measured<'_>) -> Result<TaskReport, SearchError>;

    /// Measures [`Task::result`] on images, in batches of a number.
    ///
    /// # Errors
    /// [`SearchError::Interrupted`] when asked to stop before the last image; when an image cannot be read.
    fn evaluate(
        &self,
        images: &TaskImages,
        batch: usize,
        progress: &dyn Progress,
        stop: &StopFlag,
    ) -> Result<TaskReport, SearchError> {
        let (graph, size) = (self.network().whole(), self.network().size());
        self.measure(&Measured { graph, params: self.result(), images, size, batch, progress, stop })
    }

    /// Adds everything that its next step depends on to a state, under names that begin with `task`.
    ///
    /// # Errors
    /// When a name is taken.
    fn save(&self, state: &mut Weights) -> Result<(), SearchError>;

    /// Takes back what [`Task::save`] stored in the state of a folder.
    ///
    /// # Errors
    /// When an entry is absent or does not fit; `self` is then not to be used.
    fn load(&mut self, state: &Weights, folder: &Path) -> Result<(), SearchError>;
}

/// What a network was measured to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskReport {
    /// Kind of the task.
    pub kind: &'static str,
    /// In the order of [`TaskKind::scores`].
    pub scores: Vec<f64>,
    /// [`TaskKind::class_score`] of every class by number; none for a class that nothing is labelled as.
    #[serde(skip)]
    pub by_class: Vec<Option<f64>>,
    /// What the best of several networks is chosen by; larger is better.
    pub fitness: f64,
    /// All numbers, for machines.
    pub details: serde_json::Value,
    /// All numbers, for people.
    #[serde(skip)]
    pub table: String,
}

impl TaskReport {
    /// Names and values of the scores in a line.
    pub fn line(&self, kind: &TaskKind) -> String {
        let words: Vec<String> =
            kind.scores.iter().zip(&self.scores).map(|(name, score)| format!("{name} {score:.3}")).collect();
        words.join(" ")
    }
}

/// [`SearchError::Classes`] unless there are the expected classes in their order.
pub(crate) fn require_classes(what: &str, expected: &[String], found: &[String]) -> Result<(), SearchError> {
    if expected == found {
        return Ok(());
    }
    let (what, expected, found) = (what.to_owned(), expected.to_vec(), found.to_vec());
    Err(SearchError::Classes { what, expected, found })
}

/// Scalars as numbers, the means over all ranks, in one transfer: on a GPU each waits for everything before it.
pub(crate) fn numbers(scalars: &[&Tensor]) -> Result<Vec<f64>, SearchError> {
    let flat = scalars.iter().map(|s| s.f_detach()?.f_to_kind(Kind::Double)).collect::<Result<Vec<_>, _>>()?;
    Ok(caf_ranks::mean_numbers(Vec::<f64>::try_from(Tensor::f_stack(&flat, 0)?.f_to_device(Device::Cpu)?)?)?)
}

/// [`SearchError::NonFinite`] with the first part of a loss that is no number.
pub(crate) fn require_finite(names: &[&str], parts: &[f64], iteration: usize) -> Result<(), SearchError> {
    match names.iter().zip(parts).find(|(_, part)| !part.is_finite()) {
        Some((name, _)) => Err(SearchError::NonFinite { what: format!("{name} loss of the task"), iteration }),
        None => Ok(()),
    }
}

/// A table read as settings `T` and written in full: what `resolve` of a [`TaskKind`] does.
pub(super) fn resolve<T: DeserializeOwned + Serialize>(table: Table) -> Result<Table, String> {
    let settings: T = Value::Table(table).try_into().map_err(|e: toml::de::Error| e.to_string())?;
    Table::try_from(&settings).map_err(|e| e.to_string())
}

/// Resolved settings as the task's own type.
pub(super) fn read<T: DeserializeOwned>(table: &Table) -> Result<T, SearchError> {
    let refuse = |e: toml::de::Error| SearchError::Config { path: PathBuf::from("task"), message: e.to_string() };
    Value::Table(table.clone()).try_into().map_err(refuse)
}
