//! Training a detector on labelled images.
//!
//! One iteration: a batch, the heads, the loss, its gradients; every few iterations (warm-up raises the number to what fills a
//! nominal batch) the gradient is clipped and the optimiser and the average move. After an epoch the average is validated, the
//! best one kept, the log written.

use super::batch::{Batch, Plan, with_batches};
use super::checkpoint::{self, State, Tensors};
use super::config::TaskConfig;
use super::detector::{Detector, start};
use super::error::TaskError;
use super::evaluate::{DetectionReport, EvalSettings, evaluate_task};
use super::images::TaskImages;
use super::log::{self, EpochRow, Scores};
use caf_console::{Progress, StopFlag};
use caf_torch::optim::{Sgd, SgdGroup};
use caf_torch::{GradOptions, Mode, Params, device_from_name, forward, gradients};
use caf_weights::save_safetensors;
use caf_yolo::{Ema, Group, LossValue, Schedule, YoloLoss, clip_gradients};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// File names in the folder of a training.
pub mod files {
    /// The resolved settings.
    pub const CONFIG: &str = "task.toml";
    /// Everything needed to go on.
    pub const CHECKPOINT: &str = "checkpoint.safetensors";
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
    /// Folder of the results; made when absent.
    pub out_dir: &'a Path,
    /// Go on from the folder's checkpoint. Otherwise a folder that holds one is refused.
    pub resume: bool,
    /// Looked at after every iteration.
    pub stop: &'a StopFlag,
    /// Told how it goes.
    pub progress: &'a dyn Progress,
}

/// How a training ended.
#[derive(Clone, Debug, Serialize)]
pub struct TaskOutcome {
    /// Whether it came to its end; false after a request to stop, when it can be resumed.
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

/// Trains a detector; see [`TaskConfig`] for the recipe and [`files`] for what it leaves in the folder.
///
/// On the CPU a training that was stopped (by `stop`, or killed: then from its last checkpoint on) and resumed gives the same
/// bits as one that never was, with the same number of libtorch's threads.
///
/// # Errors
/// Bad settings, images, weights or folder; [`TaskError::NotFinite`] when a part of the loss or the gradient is no number: the
/// last checkpoint is then left as it was.
pub fn train_task(run: &TaskRun<'_>) -> Result<TaskOutcome, TaskError> {
    run.config.check()?;
    if run.train.classes() != run.val.classes() {
        return Err(TaskError::Classes { expected: run.train.classes().to_vec(), found: run.val.classes().to_vec() });
    }
    if run.config.threads > 0 {
        tch::set_num_threads(i32::try_from(run.config.threads).unwrap_or(i32::MAX));
    }
    std::fs::create_dir_all(run.out_dir).map_err(|source| TaskError::Write { path: run.out_dir.to_owned(), source })?;
    let mut trainer = Trainer::begin(run)?;
    let plan = Plan {
        images: run.train,
        augment: run.config.augment,
        size: (run.config.image_width_px, run.config.image_height_px),
        batch: run.config.batch,
        seed: run.config.seed,
    };
    let total = trainer.schedule.epochs * trainer.schedule.batches;
    run.progress.begin("train task", total as u64, trainer.state.iteration as u64);
    let range = trainer.state.iteration..total;
    let finished = with_batches(&plan, range, run.config.workers, |next| {
        while trainer.state.iteration < total && !trainer.out_of_patience() {
            trainer.iteration(&next()?)?;
            let epoch_done = trainer.state.iteration % trainer.schedule.batches == 0;
            if epoch_done {
                trainer.finish_epoch()?;
            }
            let due = trainer.state.iteration.is_multiple_of(run.config.checkpoint_every);
            if epoch_done || due || run.stop.is_raised() {
                trainer.save()?;
            }
            if run.stop.is_raised() {
                return Ok(trainer.state.iteration == total);
            }
        }
        Ok(true)
    })?;
    run.progress.end();
    Ok(trainer.outcome(finished))
}

struct Trainer<'a> {
    run: &'a TaskRun<'a>,
    detector: Detector,
    device: Device,
    loss: YoloLoss,
    schedule: Schedule,
    groups: Vec<Group>,
    state: State,
    tensors: Tensors,
    epoch_began: Instant,
    taken: Option<(usize, usize)>,
    last_report: Option<DetectionReport>,
}

impl<'a> Trainer<'a> {
    fn begin(run: &'a TaskRun<'a>) -> Result<Self, TaskError> {
        let config = run.config;
        let device = device_from_name(&config.device)?;
        let path = run.out_dir.join(files::CHECKPOINT);
        match (run.resume, path.is_file()) {
            (false, true) => return Err(TaskError::Occupied { path }),
            (true, false) => return Err(TaskError::NoCheckpoint { path }),
            _ => {}
        }
        let begun = start(config.network(run.train.classes().len()), config.weights.as_deref(), config.seed)?;
        let detector = begun.detector;
        let mut loss = YoloLoss::new(detector.config(), &config.loss, config.longer_side_px())?;
        let data = [run.train.fingerprint(), run.val.fingerprint()];
        let mut state = State::new(config, data, loss.balance());
        let (tensors, taken);
        if run.resume {
            (state, tensors) = checkpoint::load(&path, detector.graph(), &state, device)?;
            loss.set_balance(&state.balance.iter().map(|b| f64::from_bits(*b)).collect::<Vec<_>>())?;
            run.progress.say(&format!("resumed after iteration {}", state.iteration));
            taken = None;
        } else {
            let mut params = Params::from_weights(detector.graph(), &begun.weights, device, Kind::Float)?;
            params.set_requires_grad(true);
            let ema = if config.ema { Some(Ema::new(detector.graph(), &params, 0)?) } else { None };
            let sgd = Sgd::new(&params.trainable())?;
            tensors = Tensors { params, sgd, ema, accumulated: None };
            taken = Some((begun.taken, begun.of));
            if let Some(weights) = &config.weights {
                let (n, of) = (begun.taken, begun.of);
                run.progress.say(&format!("{n} of {of} entries taken from {}, the rest is fresh", weights.display()));
            }
            write_config(&run.out_dir.join(files::CONFIG), config)?;
        }
        let batches = run.train.len().div_ceil(config.batch);
        Ok(Trainer {
            groups: Group::of_graph(detector.graph()),
            schedule: config.schedule(batches),
            epoch_began: Instant::now(),
            last_report: None,
            run,
            detector,
            device,
            loss,
            state,
            tensors,
            taken,
        })
    }

    fn iteration(&mut self, batch: &Batch) -> Result<(), TaskError> {
        let rates = self.schedule.at(self.state.iteration);
        let trainable = self.tensors.params.trainable();
        let images = batch.tensor(self.device)?;
        let heads = forward(self.detector.heads_graph(), &self.tensors.params, &[&images], Mode::Train)?;
        let value = self.loss.compute(&heads.iter().collect::<Vec<_>>(), &batch.targets, &batch.regions)?;
        let parts = self.guarded(&value, batch)?;
        self.loss.rebalance(&value)?;
        // Row-major, as a checkpoint stores them: the order of a sum, and so its last bit, follows the layout in memory.
        let gradients = gradients(&value.total, &trainable, GradOptions::default())?
            .iter()
            .map(Tensor::f_contiguous)
            .collect::<Result<Vec<_>, _>>()?;
        self.tensors.accumulated = Some(match self.tensors.accumulated.take() {
            None => gradients,
            Some(sums) => {
                let add = |(sum, new): (&Tensor, &Tensor)| sum.f_add(new);
                sums.iter().zip(&gradients).map(add).collect::<Result<Vec<_>, _>>()?
            }
        });
        self.state.accumulated += 1;
        if self.state.iteration + 1 - self.state.stepped_at >= rates.accumulate {
            self.step(&trainable, batch)?;
        }
        for (sum, part) in self.state.sums.iter_mut().zip(parts) {
            *sum = (f64::from_bits(*sum) + part).to_bits();
        }
        self.state.iteration += 1;
        let epoch = self.state.iteration.div_ceil(self.schedule.batches);
        let [boxes, objectness, classes] = parts;
        let line =
            format!("epoch {epoch}/{} box {boxes:.4} obj {objectness:.4} cls {classes:.4}", self.schedule.epochs);
        self.run.progress.advance(self.state.iteration as u64, &line);
        Ok(())
    }

    /// Moves the parameters and the average by the accumulated gradient.
    fn step(&mut self, trainable: &[Tensor], batch: &Batch) -> Result<(), TaskError> {
        let rates = self.schedule.at(self.state.iteration);
        let Some(sums) = self.tensors.accumulated.take() else { return Ok(()) };
        let (clipped, norm) = clip_gradients(&sums, self.run.config.optimizer.clip_norm)?;
        if !norm.is_finite() {
            return Err(self.not_finite("the gradient's norm", norm, batch));
        }
        let decay = self.schedule.scaled_decay();
        let groups: Vec<SgdGroup> = self.groups.iter().map(|g| g.settings(&rates, decay)).collect();
        self.tensors.sgd.step(trainable, &clipped, &groups, rates.momentum)?;
        if let Some(ema) = &mut self.tensors.ema {
            ema.update(&self.tensors.params)?;
            self.state.ema_updates = ema.updates();
        }
        self.state.accumulated = 0;
        self.state.stepped_at = self.state.iteration + 1;
        Ok(())
    }

    /// The parts of a loss as numbers; stops at the first that is none.
    fn guarded(&self, value: &LossValue, batch: &Batch) -> Result<[f64; 3], TaskError> {
        // One transfer instead of three: on a GPU each waits for everything before it.
        let all = Tensor::f_stack(&[&value.boxes, &value.objectness, &value.classes], 0)?.f_to_kind(Kind::Double)?;
        let all = Vec::<f64>::try_from(all.f_to_device(Device::Cpu)?)?;
        let [boxes, objectness, classes] = all.as_slice() else { return Err(TaskError::LoaderGone) };
        for (part, value) in [("the box part", boxes), ("the objectness part", objectness), ("the class part", classes)]
        {
            if !value.is_finite() {
                return Err(self.not_finite(part, *value, batch));
            }
        }
        Ok([*boxes, *objectness, *classes])
    }

    fn not_finite(&self, part: &'static str, value: f64, batch: &Batch) -> TaskError {
        let iteration = self.state.iteration;
        let epoch = iteration / self.schedule.batches;
        TaskError::NotFinite { part, value, epoch, iteration, images: batch.names.join(", ") }
    }

    fn finish_epoch(&mut self) -> Result<(), TaskError> {
        let config = self.run.config;
        let epoch = self.state.iteration / self.schedule.batches;
        let last = epoch == self.schedule.epochs;
        let scores =
            if last || epoch.is_multiple_of(config.validation.every) { Some(self.validate(epoch)?) } else { None };
        let mean = |bits: u64| f64::from_bits(bits) / self.schedule.batches as f64;
        let [boxes, objectness, classes] = self.state.sums.map(mean);
        let rate = self.schedule.at(self.state.iteration - 1).others;
        let seconds = self.epoch_began.elapsed().as_secs_f64();
        self.state.rows.push(EpochRow { epoch, boxes, objectness, classes, rate, scores, seconds });
        self.state.sums = [0; 3];
        self.epoch_began = Instant::now();
        log::write(&self.run.out_dir.join(files::LOG), &self.state.rows)?;
        self.write_weights(files::LAST)?;
        if let Some(s) = scores {
            self.run.progress.say(&format!(
                "epoch {epoch}: box {boxes:.4} obj {objectness:.4} cls {classes:.4}, P {:.3} R {:.3} mAP50 {:.3} mAP50-95 {:.3}",
                s.precision, s.recall, s.map50, s.map50_95
            ));
        }
        Ok(())
    }

    fn validate(&mut self, epoch: usize) -> Result<Scores, TaskError> {
        let settings = EvalSettings::of_training(self.run.config);
        let report = evaluate_task(&self.detector, self.result(), self.run.val, &settings)?;
        let scores = report.scores();
        let best = self.state.best.map(|(_, fitness)| f64::from_bits(fitness));
        if best.is_none_or(|best| scores.fitness() > best) {
            self.state.best = Some((epoch, scores.fitness().to_bits()));
            self.write_weights(files::BEST)?;
        }
        self.last_report = Some(report);
        Ok(scores)
    }

    /// What a user gets: the average when there is one.
    fn result(&self) -> &Params {
        self.tensors.ema.as_ref().map_or(&self.tensors.params, Ema::params)
    }

    fn write_weights(&self, file: &str) -> Result<(), TaskError> {
        let mut weights = self.result().to_weights(self.detector.graph())?;
        let size = (self.run.config.image_width_px, self.run.config.image_height_px);
        self.detector.describe(&mut weights, self.run.train.classes(), size);
        Ok(save_safetensors(&weights, self.run.out_dir.join(file))?)
    }

    fn save(&mut self) -> Result<(), TaskError> {
        self.state.balance = self.loss.balance().iter().map(|b| b.to_bits()).collect();
        let path = self.run.out_dir.join(files::CHECKPOINT);
        checkpoint::save(&path, self.detector.graph(), &self.state, &self.tensors)
    }

    fn out_of_patience(&self) -> bool {
        let (patience, Some((best, _))) = (self.run.config.patience, self.state.best) else { return false };
        patience > 0 && self.state.rows.len() >= best + patience
    }

    fn outcome(self, finished: bool) -> TaskOutcome {
        let best = self.run.out_dir.join(files::BEST);
        TaskOutcome {
            finished,
            iterations: self.state.iteration,
            taken: self.taken,
            best_epoch: self.state.best.map(|(epoch, _)| epoch),
            best_weights: self.state.best.map(|_| best),
            rows: self.state.rows,
            last_report: self.last_report,
        }
    }
}

fn write_config(path: &Path, config: &TaskConfig) -> Result<(), TaskError> {
    let text = toml::to_string(config)
        .map_err(|e| TaskError::Checkpoint { path: path.to_owned(), what: format!("settings: {e}") })?;
    Ok(caf_data::image_file::write_bytes(path, text.as_bytes())?)
}
