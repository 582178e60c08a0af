//! Looking at a fusion network while it is trained: losses, metrics and pictures of validation pairs.

use super::config::FusionTrainConfig;
use super::method::luma_of;
use super::panel::Panel;
use super::training::FusionTraining;
use crate::error::SearchError;
use crate::evaluate::{METRICS, Mean, measure};
use crate::file::make_folder;
use crate::loader::{PairStore, plane_tensor};
use crate::record::{Record, Row};
use crate::run_settings::require;
use caf_console::StopFlag;
use caf_data::Dataset;
use caf_geometry::Size;
use caf_image::Plane;
use caf_image::color::{luma, quantized};
use caf_image::write_rgb8;
use caf_torch::Mode;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use tch::Kind;

/// Rows of a panel.
const PANEL_ROWS: usize = 4;
/// Smallest side of an image the loss can be computed on, px.
const LEAST_SIDE_PX: usize = 16;

/// Numbers of one validation, means over the pairs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Validated {
    /// Iterations done before it.
    pub iteration: usize,
    /// The weighted loss.
    pub loss: f64,
    /// MI, SD, VIF and SCD by the `linfeng` definitions on 8-bit gray images; none where a metric was finite on no pair.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Terms of the loss, and parts of the distance to a teacher.
    pub terms: BTreeMap<String, f64>,
}

impl fmt::Display for Validated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "val {:.4}", self.loss)?;
        METRICS.iter().try_for_each(|metric| match self.metrics.get(metric.name()).copied().flatten() {
            Some(value) => write!(f, " {} {value:.3}", metric.name()),
            None => write!(f, " {} -", metric.name()),
        })
    }
}

impl Validated {
    /// From a row of `validation.csv`, with the columns of [`Validation::open`].
    fn from_row(row: &Row, training: &FusionTraining) -> Option<Self> {
        let (loss, rest) = row.values.split_first()?;
        let (metrics, terms) = rest.split_at_checked(METRICS.len())?;
        let named = |(term, value): (String, &Option<f64>)| Some((term, (*value)?));
        Some(Validated {
            iteration: row.number,
            loss: (*loss)?,
            metrics: METRICS.iter().map(|m| m.name().to_owned()).zip(metrics.iter().copied()).collect(),
            terms: training.terms().map(str::to_owned).zip(terms).filter_map(named).collect(),
        })
    }
}

/// Validation pairs, and the log of what was measured on them.
pub(super) struct Validation {
    /// Keeps nothing: a few pairs are decoded again each time, and the memory belongs to the training pairs.
    store: PairStore,
    chosen: Vec<usize>,
    every: usize,
    log: Option<Log>,
    last: Option<Validated>,
}

struct Log {
    record: Record,
    panels: PathBuf,
}

impl Validation {
    /// Chooses pairs, spread evenly over the data set.
    pub fn new(pairs: Dataset, config: &FusionTrainConfig) -> Result<Self, SearchError> {
        let count = config.validation.pairs.min(pairs.len());
        let chosen: Vec<usize> = (0..count).map(|i| i * pairs.len() / count).collect();
        for entry in chosen.iter().filter_map(|i| pairs.entries().get(*i)) {
            let found = format!("{} of {}", entry.name, entry.size);
            let fits = entry.size.width.min(entry.size.height) >= LEAST_SIDE_PX;
            require("data.val", fits, &format!("pairs of at least {LEAST_SIDE_PX} pixels a side"), found)?;
        }
        let store = PairStore::new(pairs, config.data.saliency, 0, 0);
        Ok(Validation { store, chosen, every: config.validation.every, log: None, last: None })
    }

    /// Opens `validation.csv` in the result folder, up to the iterations that are done.
    pub fn open(&mut self, out: &Path, training: &FusionTraining) -> Result<(), SearchError> {
        let columns: Vec<String> = ["iteration", "loss"]
            .into_iter()
            .chain(METRICS.iter().map(|m| m.name()))
            .map(str::to_owned)
            .chain(training.term_columns())
            .collect();
        let record = Record::open(&out.join("validation.csv"), &columns, training.iteration.saturating_add(1))?;
        self.last = record.last().and_then(|row| Validated::from_row(row, training));
        self.log = Some(Log { record, panels: out.join("panels") });
        Ok(())
    }

    /// What was measured last.
    pub fn last(&self) -> Option<&Validated> {
        self.last.as_ref()
    }

    /// Whether pairs are to be measured after so many iterations, and have not been.
    pub fn is_due(&self, done: usize, end: usize) -> bool {
        let wanted = done > 0 && (done.is_multiple_of(self.every) || done >= end);
        wanted && self.last.as_ref().is_none_or(|last| last.iteration < done)
    }

    /// Measures the network on the chosen pairs as they are, whole, and draws the panel. The network is evaluated with its running
    /// statistics and nothing of it changes. False when it was stopped in between: nothing is logged then.
    pub fn run(&mut self, training: &FusionTraining, stop: &StopFlag) -> Result<bool, SearchError> {
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(self.chosen.len());
        let mut panel = Panel::default();
        let shown = PANEL_ROWS.min(self.chosen.len()).max(1);
        for (i, index) in self.chosen.iter().enumerate() {
            if stop.is_raised() {
                return Ok(false);
            }
            let pair = self.store.get(*index)?;
            let Size { width, height } = pair.ir.size();
            let device = training.net.params.device();
            let tensor = |plane: &Plane| plane_tensor(plane.data(), [1, 1, height, width], device, Kind::Float);
            let planes = [&tensor(&pair.ir)?, &tensor(&luma(&pair.vi))?, &tensor(&pair.saliency)?];
            let (fused, total, terms) = tch::no_grad(|| training.evaluate(&training.net.params, planes, Mode::Eval))?;
            let fused = luma_of(&fused, pair.ir.size(), &pair.name)?;
            let mut row = vec![f64::try_from(&total)?];
            row.extend(measure(&pair.ir, &pair.vi, &quantized(&fused), &METRICS)?);
            row.extend(terms);
            rows.push(row);
            if (i * shown) % self.chosen.len() < shown {
                panel.add(&pair.ir, &pair.vi, &fused)?;
            }
        }
        let columns = rows.first().map_or(0, Vec::len);
        let mean = |c: usize| Mean::of(rows.iter().filter_map(|row| row.get(c).copied())).mean;
        let row = Row { number: training.iteration, values: (0..columns).map(mean).collect() };
        if let Some(Log { record, panels }) = &mut self.log {
            if caf_ranks::leads() {
                make_folder(panels)?;
                write_rgb8(&panels.join(format!("{:06}.png", row.number)), &panel.picture()?)?;
            }
            record.row(row.number, row.values.clone())?;
            record.sync()?;
        }
        self.last = Validated::from_row(&row, training);
        Ok(true)
    }
}
