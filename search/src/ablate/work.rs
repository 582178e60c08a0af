//! What a job does.

use super::contender::Source;
use super::detector;
use super::folder::{data, files};
use super::job::Job;
use super::stage::{fuse, keep, keep_log, remove_folder, resumable};
use super::study::{Protocol, Study, starts_frozen};
use crate::error::SearchError;
use crate::evaluate::{METRICS, fusion_report};
use crate::fusion::{self, Method};
use crate::loader::{Annotation, ImageSource, TaskImages};
use crate::run_settings::DataSettings;
use crate::search::{self, BetaFile, SearchConfig};
use crate::task_training::{self, files as task_files};
use crate::tasks::{TaskKind, TaskSettings, Trained, open_task};
use caf_console::{Progress, StopFlag};
use caf_data::Dataset;
use caf_geometry::Size;
use std::path::{Path, PathBuf};
use tch::Device;

/// Images in a batch that is measured.
const BATCH: usize = 16;

/// What all jobs of a process share.
pub(super) struct Bench<'a> {
    study: &'a Study,
    folder: &'a Path,
    data: DataSettings,
    device: Device,
    kind: &'static TaskKind,
    classes: Vec<String>,
    frozen: Option<Trained>,
}

impl<'a> Bench<'a> {
    /// Opens what is there already; the pairs are.
    ///
    /// # Errors
    /// When weights or pairs cannot be read, or the protocols measure different tasks.
    pub fn new(study: &'a Study, folder: &'a Path, device: Device) -> Result<Self, SearchError> {
        let uses = |protocol| study.protocols.contains(&protocol);
        let weights = study.p1.weights.as_ref().filter(|_| uses(Protocol::P1));
        let frozen = weights.map(|path| open_task(path, device)).transpose()?;
        let of_file = frozen.as_ref().map(Trained::task);
        let of_training = study.p1.train.as_ref().filter(|_| uses(Protocol::P1)).map(|train| train.task.kind());
        let first = of_file.or(of_training);
        let second = Some(study.p2.task.kind()).filter(|_| uses(Protocol::P2));
        if let (Some(first), Some(second)) = (first, second)
            && first.kind != second.kind
        {
            let expected = format!("{}, as the frozen network's", first.kind);
            return Err(SearchError::Setting { name: "p2.task.kind", expected, found: second.kind.to_owned() });
        }
        // One of the protocols is there.
        let kind = first.or(second).unwrap_or(study.p2.task.kind());
        let data = data(study, folder);
        let val = data.open(data.val.as_deref(), Some(kind.annotation))?;
        kind.annotation.require(&val, "measure on")?;
        let classes = kind.annotation.classes(&val).to_vec();
        Ok(Bench { study, folder, data, device, kind, classes, frozen })
    }

    /// Names of what is measured.
    pub fn columns(&self) -> Vec<String> {
        let plain = |name: &String| name.replace([',', '"', '\n', '\r'], "_");
        let of_class = |name: &String| format!("{}.{}", self.kind.class_score, plain(name));
        let scores = self.kind.scores.iter().map(|name| (*name).to_owned());
        let metrics = METRICS.iter().filter(|_| self.study.metrics).map(|metric| metric.name().to_owned());
        scores.chain(self.classes.iter().map(of_class)).chain(metrics).collect()
    }

    /// Numbers of pairs to learn from and to measure on.
    pub fn pairs(&self) -> Result<super::job::Pairs, SearchError> {
        let count = |list: &Option<PathBuf>| Ok::<_, SearchError>(self.data.open(list.as_deref(), None)?.len());
        Ok(super::job::Pairs { train: count(&self.data.train)?, val: count(&self.data.val)? })
    }

    /// Folder of what a job shares with others.
    pub fn cell(&self, job: &Job<'_>) -> PathBuf {
        self.folder.join(files::CELLS).join(job.cell())
    }

    /// Does a job, or goes on with it: what is measured, in the order of the columns. The caller has the lock of the job's folder.
    ///
    /// # Errors
    /// [`SearchError::Interrupted`] when asked to stop; those of the work.
    pub fn measure(
        &mut self,
        job: &Job<'_>,
        progress: &dyn Progress,
        stop: &StopFlag,
    ) -> Result<Vec<Option<f64>>, SearchError> {
        let cell = self.cell(job);
        let method = match &job.contender.source {
            Source::Image(rule) => Method::Rule(*rule),
            Source::Network(path) => Method::Network(path.clone()),
            Source::Beta(_) | Source::Search(_) => Method::Network(self.network(job, &cell, progress, stop)?),
        };
        let fused = cell.join("fused");
        let lists = match job.protocol {
            Protocol::P1 => vec![&self.data.val],
            Protocol::P2 => vec![&self.data.train, &self.data.val],
        };
        let range = match &method {
            Method::Network(path) => crate::fusion_net::FusionNet::read(path, Device::Cpu)?.ir_range(),
            _ => None,
        };
        let seen = DataSettings { ir_range: range.unwrap_or(self.data.ir_range), ..self.data.clone() };
        for list in lists {
            fuse(&seen.open(list.as_deref(), None)?, &method, seen.colour, &fused, self.device, progress, stop)?;
        }
        let annotation = self.kind.annotation;
        let val = self.data.open(self.data.val.as_deref(), Some(annotation))?;
        let mut values = match job.protocol {
            Protocol::P1 => {
                let size_px = self.study.p1.size_px;
                scores(self.frozen(progress, stop)?, &val, &fused, size_px, annotation, stop)?
            }
            Protocol::P2 => {
                let network = self.anew(job, &cell, &fused, progress, stop)?;
                scores(&network, &val, &fused, None, annotation, stop)?
            }
        };
        if self.study.metrics {
            let report = fusion_report(&val, &fused, &METRICS, progress, stop)?;
            values.extend(METRICS.iter().map(|metric| report.get(metric.name()).and_then(|mean| mean.mean)));
        }
        Ok(values)
    }

    /// The fusion network of a method that has to train it; kept in the cell.
    fn network(
        &self,
        job: &Job<'_>,
        cell: &Path,
        progress: &dyn Progress,
        stop: &StopFlag,
    ) -> Result<PathBuf, SearchError> {
        let (result, work, beta) = (cell.join("fusion.safetensors"), cell.join("fusion"), cell.join("beta.toml"));
        let seed = job.seed.unwrap_or(1);
        if !result.exists() {
            match &job.contender.source {
                Source::Beta(given) => given.write(&beta)?,
                Source::Search(search) if !beta.exists() => {
                    let config =
                        self.study.search_config(search, seed, self.data.clone(), job.contender.network.as_ref())?;
                    self.search(config, cell, progress, stop)?;
                }
                _ => {}
            }
            // A file that was changed by hand is told here.
            BetaFile::read(&beta)?;
            let network = job.contender.network.as_ref();
            let config = self.study.fusion_config(&beta, seed, self.data.clone(), network);
            let done = resumable(&work, progress, || fusion::train(&config, &work, progress, stop))?;
            if done.interrupted {
                return Err(SearchError::Interrupted);
            }
            keep_log(&work, &cell.join("fusion.csv"))?;
            keep(&work.join("fusion.safetensors"), &result)?;
        }
        remove_folder(&work)?;
        Ok(result)
    }

    /// Searches the loss of a method into the cell's `beta.toml`.
    fn search(
        &self,
        mut config: SearchConfig,
        cell: &Path,
        progress: &dyn Progress,
        stop: &StopFlag,
    ) -> Result<(), SearchError> {
        let work = cell.join("search");
        if starts_frozen(&config) {
            let mut table = config.task.table().clone();
            table.insert("init".to_owned(), self.frozen_file(progress, stop)?.to_string_lossy().into_owned().into());
            config.task = TaskSettings::new(config.task.kind().kind, &table)?;
        }
        let done = resumable(&work, progress, || search::run(&config, &work, progress, stop))?;
        if done.interrupted {
            return Err(SearchError::Interrupted);
        }
        keep_log(&work, &cell.join("search.csv"))?;
        keep(&work.join("beta.toml"), &cell.join("beta.toml"))?;
        remove_folder(&work)
    }

    /// The frozen task network, which the first job that needs it may have to train.
    fn frozen(&mut self, progress: &dyn Progress, stop: &StopFlag) -> Result<&Trained, SearchError> {
        let network = match self.frozen.take() {
            Some(network) => network,
            None => open_task(&self.frozen_file(progress, stop)?, self.device)?,
        };
        Ok(self.frozen.insert(network))
    }

    /// Its file.
    fn frozen_file(&self, progress: &dyn Progress, stop: &StopFlag) -> Result<PathBuf, SearchError> {
        match (&self.study.p1.weights, &self.study.p1.train) {
            (None, Some(part)) => detector::trained(self.folder, self.study, part, self.device, progress, stop),
            (weights, _) => Ok(weights.clone().unwrap_or_default()),
        }
    }

    /// A task network trained on the fused training pairs: that of the last iteration, since pairs that are measured choose nothing.
    fn anew(
        &self,
        job: &Job<'_>,
        cell: &Path,
        fused: &Path,
        progress: &dyn Progress,
        stop: &StopFlag,
    ) -> Result<Trained, SearchError> {
        let seed = job.seed.unwrap_or(1);
        let out = cell.join(task_folder(seed));
        let images = ImageSource::Folder(fused.to_owned());
        let config = self.study.task_config(&self.study.p2, images, seed, self.data.clone());
        let done = resumable(&out, progress, || task_training::train(&config, &out, progress, stop))?;
        if done.interrupted {
            return Err(SearchError::Interrupted);
        }
        open_task(&out.join(task_files::LAST), self.device)
    }

    /// Removes what a job leaves and no other of its cell needs.
    pub fn clear(&self, job: &Job<'_>, is_last_of_cell: bool) -> Result<(), SearchError> {
        let cell = self.cell(job);
        if job.protocol == Protocol::P2 {
            remove_folder(&cell.join(task_folder(job.seed.unwrap_or(1))))?;
        }
        if is_last_of_cell { remove_folder(&cell.join("fused")) } else { Ok(()) }
    }
}

fn task_folder(seed: u64) -> String {
    format!("task.s{seed}")
}

/// Measures a task network on fused images: scores, then those of every class.
fn scores(
    network: &Trained,
    val: &Dataset,
    fused: &Path,
    size: Option<Size>,
    annotation: Annotation,
    stop: &StopFlag,
) -> Result<Vec<Option<f64>>, SearchError> {
    let images = TaskImages::open(val, &ImageSource::Folder(fused.to_owned()), annotation, 0)?;
    let report = network.evaluate(&images, size, BATCH, &caf_console::Silent, stop)?;
    let scores = report.scores.into_iter().map(|score| Some(score).filter(|score| score.is_finite()));
    Ok(scores.chain(report.by_class).collect())
}
