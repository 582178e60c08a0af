//! The state of a detector's training, and its steps.

use super::batch::Batch;
use super::checkpoint::{self, State, Tensors};
use super::config::TaskConfig;
use super::detector::{Detector, start};
use super::error::TaskError;
use super::evaluate::{EvalSettings, evaluate_task};
use super::log::{self, EpochRow, Scores};
use super::report::DetectionReport;
use super::train::{TaskOutcome, TaskRun, files};
use crate::device;
use crate::state::Run;
use crate::weight_file::{describe_ir_range, write_weights};
use caf_console::Silent;
use caf_torch::optim::{Sgd, SgdGroup};
use caf_torch::{GradOptions, Mode, Params, forward, gradients};
use caf_yolo::{Ema, Group, LossValue, Schedule, YoloLoss, clip_gradients};
use std::path::Path;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

pub(super) struct Trainer<'a> {
    run: &'a TaskRun<'a>,
    identity: Run,
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
    /// Fresh, or where the folder's checkpoint left off. Writes nothing.
    pub fn begin(run: &'a TaskRun<'a>) -> Result<Self, TaskError> {
        let config = run.config;
        let device = device::prepare(&config.device, config.threads)?;
        let begun = start(config.network(run.train.classes().len()), config.weights.as_deref(), config.seed)?;
        let detector = begun.detector;
        let mut loss = YoloLoss::new(detector.config(), &config.loss, config.longer_side_px())?;
        let identity = checkpoint::run_of(config, [run.train.fingerprint(), run.val.fingerprint()]);
        let schedule = config.schedule(run.plan().batches());
        let (state, tensors, taken);
        if let Some(saved) = checkpoint::load(run.out_dir, &identity, detector.graph(), &schedule, device)? {
            (state, tensors) = saved;
            loss.set_balance(&state.balance.iter().map(|b| f64::from_bits(*b)).collect::<Vec<_>>())?;
            taken = None;
        } else {
            state = State::new(loss.balance());
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
        }
        Ok(Trainer {
            groups: Group::of_graph(detector.graph()),
            schedule,
            epoch_began: Instant::now(),
            last_report: None,
            run,
            identity,
            detector,
            device,
            loss,
            state,
            tensors,
            taken,
        })
    }

    /// Makes the folder with the resolved settings.
    pub fn make_folder(&self) -> Result<(), TaskError> {
        let folder = self.run.out_dir;
        std::fs::create_dir_all(folder).map_err(|source| TaskError::Write { path: folder.to_owned(), source })?;
        write_config(&folder.join(files::CONFIG), self.run.config)
    }

    /// Iterations done.
    pub fn iterations(&self) -> usize {
        self.state.iteration
    }

    /// Iterations of the whole training.
    pub fn total(&self) -> usize {
        self.schedule.epochs * self.schedule.batches
    }

    /// Whether the last iteration ended an epoch that has not been validated and logged.
    pub fn owes_epoch(&self) -> bool {
        self.state.iteration.is_multiple_of(self.schedule.batches)
            && self.state.rows.len() < self.state.iteration / self.schedule.batches
    }

    /// Whether nothing is left to do: all iterations are done, or patience has run out.
    pub fn is_over(&self) -> bool {
        !self.owes_epoch() && (self.state.iteration >= self.total() || self.out_of_patience())
    }

    /// One batch.
    pub fn iteration(&mut self, batch: &Batch) -> Result<(), TaskError> {
        let rates = self.schedule.at(self.state.iteration);
        let trainable = self.tensors.params.trainable();
        let images = batch.tensor(self.device)?;
        let mode = Mode::train(self.run.config.seed, self.state.iteration as u64);
        let heads = forward(self.detector.heads_graph(), &self.tensors.params, &[&images], mode)?;
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

    /// Validates and logs the epoch that has just ended. False when the validation was stopped: nothing has changed then.
    pub fn finish_epoch(&mut self) -> Result<bool, TaskError> {
        let epoch = self.state.iteration / self.schedule.batches;
        let last = epoch == self.schedule.epochs;
        let scores = if last || epoch.is_multiple_of(self.run.config.validation.every) {
            match self.validate(epoch) {
                Err(TaskError::Interrupted) => return Ok(false),
                scores => Some(scores?),
            }
        } else {
            None
        };
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
        Ok(true)
    }

    fn validate(&mut self, epoch: usize) -> Result<Scores, TaskError> {
        let settings = EvalSettings::of_training(self.run.config);
        let report = evaluate_task(&self.detector, self.result(), self.run.val, &settings, &Silent, self.run.stop)?;
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
        self.detector.describe(&mut weights, self.run.train.classes(), self.run.config.size());
        describe_ir_range(&mut weights, self.run.train.ir_range());
        Ok(write_weights(&weights, &self.run.out_dir.join(file))?)
    }

    /// Writes the checkpoint.
    pub fn save(&mut self) -> Result<(), TaskError> {
        self.state.balance = self.loss.balance().iter().map(|b| b.to_bits()).collect();
        checkpoint::save(self.run.out_dir, &self.identity, self.detector.graph(), &self.state, &self.tensors)
    }

    fn out_of_patience(&self) -> bool {
        let (patience, Some((best, _))) = (self.run.config.patience, self.state.best) else { return false };
        patience > 0 && self.state.rows.len() >= best + patience
    }

    /// How it ended.
    pub fn outcome(self, finished: bool) -> TaskOutcome {
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
