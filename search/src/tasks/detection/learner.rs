//! A detector while it learns.

use super::evaluate::evaluate;
use super::settings::{DetectionSettings, PARTS};
use crate::descent::descend;
use crate::error::SearchError;
use crate::loader::Annotations;
use crate::state::{STATE, StateError, entry};
use crate::tasks::network::{Init, Network};
use crate::tasks::setup::{Purpose, Setup};
use crate::tasks::task::{Measured, Task, TaskReport, numbers, read, require_finite};
use caf_geometry::Size;
use caf_torch::optim::{Sgd, SgdGroup};
use caf_torch::{Mode, Params, forward, gradients_of_all, host_from_tensor, tensor_from_host};
use caf_weights::{HostTensor, Weights};
use caf_yolo::{Ema, Group, IgnoreRegion, LossValue, Schedule, Target, YoloLoss};
use std::path::Path;
use tch::Tensor;

/// Network, loss and optimiser.
pub(super) struct Learner {
    network: Network,
    settings: DetectionSettings,
    loss: YoloLoss,
    schedule: Schedule,
    groups: Vec<Group>,
    sgd: Sgd,
    ema: Option<Ema>,
    /// Sum of the gradients since the last step, of so many batches, in the order of the trainable parameters.
    accumulated: Option<(usize, Vec<Tensor>)>,
    /// Iterations done when the optimiser last moved.
    stepped_at: usize,
    seed: u64,
}

impl Learner {
    pub fn begin(setup: &Setup<'_>) -> Result<Self, SearchError> {
        let settings: DetectionSettings = read(setup.settings)?;
        let init = settings.init.as_deref().map(Init::read).transpose()?;
        let config = settings.network(setup.classes.len(), init.as_ref().map(|init| &init.weights))?;
        let network = Network::begin(config.clone().into(), init, setup)?;
        let Size { width, height } = setup.size;
        let ema = settings.ema && setup.purpose == Purpose::Training;
        let schedule = schedule(&settings, setup);
        schedule.check()?;
        Ok(Learner {
            loss: YoloLoss::new(&config, &settings.loss, width.max(height))?,
            groups: Group::of_graph(network.whole()),
            sgd: Sgd::new(&network.params().trainable())?,
            ema: if ema { Some(Ema::new(network.whole(), network.params(), 0)?) } else { None },
            accumulated: None,
            stepped_at: 0,
            seed: setup.seed,
            network,
            settings,
            schedule,
        })
    }

    fn value(
        &self,
        params: &Params,
        image: &Tensor,
        annotations: &Annotations,
        mode: Mode,
    ) -> Result<LossValue, SearchError> {
        let heads = forward(self.network.raw(), params, &[image], mode)?;
        let (targets, regions) = targets(annotations);
        Ok(self.loss.compute(&heads.iter().collect::<Vec<_>>(), &targets, &regions)?)
    }

    /// Takes in the gradients of an iteration, and moves the parameters and the average when it is time.
    fn learn(&mut self, gradients: Vec<Tensor>, iteration: usize) -> Result<(), SearchError> {
        let rates = self.schedule.at(iteration);
        let (batches, sums) = match self.accumulated.take() {
            None => (1, gradients),
            Some((batches, sums)) => {
                let add = |(sum, new): (&Tensor, &Tensor)| sum.f_add(new);
                (batches + 1, sums.iter().zip(&gradients).map(add).collect::<Result<Vec<_>, _>>()?)
            }
        };
        if iteration + 1 - self.stepped_at < rates.accumulate {
            // Row-major, as a state stores them: the order of a sum, and so its last bit, follows the layout in memory.
            let sums = sums.iter().map(Tensor::f_contiguous).collect::<Result<Vec<_>, _>>()?;
            self.accumulated = Some((batches, sums));
            return Ok(());
        }
        let decay = self.schedule.scaled_decay();
        let groups: Vec<SgdGroup> = self.groups.iter().map(|group| group.settings(&rates, decay)).collect();
        let (trainable, sgd) = (self.network.params().trainable(), &mut self.sgd);
        descend("the task network", iteration, &sums, Some(self.settings.optimizer.clip_norm), |gradients| {
            sgd.step(&trainable, gradients, &groups, rates.momentum)
        })?;
        if let Some(ema) = &mut self.ema {
            ema.update(self.network.params())?;
        }
        self.stepped_at = iteration + 1;
        Ok(())
    }
}

fn schedule(settings: &DetectionSettings, setup: &Setup<'_>) -> Schedule {
    let (o, batches) = (&settings.optimizer, setup.batches.max(1));
    let (usual_warmup, nominal_batch) = match setup.purpose {
        Purpose::Search => (100, setup.batch),
        Purpose::Training => ((3 * batches).max(100), o.nominal_batch),
    };
    Schedule {
        epochs: setup.end.div_ceil(batches).max(1),
        batches,
        batch_size: setup.batch,
        warmup_batches: o.warmup.unwrap_or(usual_warmup),
        rate: o.rate,
        final_share: o.final_share,
        warmup_bias_rate: o.warmup_bias_rate,
        momentum: o.momentum,
        warmup_momentum: o.warmup_momentum,
        decay: o.decay,
        nominal_batch,
    }
}

/// Objects and regions as the loss takes them.
fn targets(annotations: &Annotations) -> (Vec<Target>, Vec<IgnoreRegion>) {
    let objects = annotations.objects.iter().map(|&(image, l)| Target {
        image,
        class: l.class as usize,
        cx: l.cx,
        cy: l.cy,
        w: l.w,
        h: l.h,
    });
    let regions =
        annotations.ignore.iter().map(|&(image, l)| IgnoreRegion { image, cx: l.cx, cy: l.cy, w: l.w, h: l.h });
    (objects.collect(), regions.collect())
}

impl Task for Learner {
    fn network(&self) -> &Network {
        &self.network
    }

    fn result(&self) -> &Params {
        self.ema.as_ref().map_or(self.params(), Ema::params)
    }

    fn loss(
        &self,
        params: &Params,
        image: &Tensor,
        annotations: &Annotations,
        mode: Mode,
    ) -> Result<Tensor, SearchError> {
        Ok(self.value(params, image, annotations, mode)?.total)
    }

    fn train_step(
        &mut self,
        image: &Tensor,
        annotations: &Annotations,
        iteration: usize,
    ) -> Result<Vec<f64>, SearchError> {
        let (recording, leaves) = self.params().recording()?;
        let value = self.value(&recording, image, annotations, Mode::train(self.seed, iteration as u64))?;
        let parts = numbers(&[&value.total, &value.boxes, &value.objectness, &value.classes])?;
        require_finite(&PARTS, &parts, iteration)?;
        let gradients = gradients_of_all(&value.total, &leaves)?;
        self.learn(gradients, iteration)?;
        self.loss.rebalance(&value)?;
        Ok(parts)
    }

    fn rate(&self, iteration: usize) -> f64 {
        self.schedule.at(iteration).others
    }

    fn measure(&self, of: &Measured<'_>) -> Result<TaskReport, SearchError> {
        evaluate(of, &self.settings.nms)
    }

    fn save(&self, state: &mut Weights) -> Result<(), SearchError> {
        self.network.save(self.params(), state, "task")?;
        self.sgd.save(state, "task_sgd")?;
        let ema_updates = match &self.ema {
            Some(ema) => {
                self.network.save(ema.params(), state, "task_ema")?;
                ema.updates()
            }
            None => 0,
        };
        let (batches, sums) = self.accumulated.as_ref().map_or((0, &[][..]), |(n, sums)| (*n, sums));
        for (i, tensor) in sums.iter().enumerate() {
            let name = format!("task_accumulated.{i}");
            let host = host_from_tensor(&name, tensor)?;
            state.insert(name, host)?;
        }
        let counts = [batches as i64, self.stepped_at as i64, ema_updates.cast_signed()];
        state.insert("task_counts", HostTensor::from_i64(&[counts.len()], &counts)?)?;
        // As bits: these weights are doubles, and a resumed run must go on with the same ones.
        let balance: Vec<i64> = self.loss.balance().iter().map(|b| b.to_bits().cast_signed()).collect();
        Ok(state.insert("task_balance", HostTensor::from_i64(&[balance.len()], &balance)?)?)
    }

    fn load(&mut self, state: &Weights, folder: &Path) -> Result<(), SearchError> {
        let refuse = |what: String| StateError::unusable(&folder.join(STATE), what);
        let params = self.network.saved(state, "task")?;
        let counts = entry(state, folder, "task_counts")?.to_i64_vec()?;
        let [batches, stepped_at, ema_updates] = counts[..] else {
            return Err(refuse(format!("tensor `task_counts`: expected 3 numbers, found {}", counts.len())).into());
        };
        let count = |n: i64| usize::try_from(n).map_err(|_| refuse(format!("tensor `task_counts`: found {n}")));
        let (batches, stepped_at) = (count(batches)?, count(stepped_at)?);
        let done = entry(state, folder, "iteration")?.to_i64_vec()?;
        if done.first().is_none_or(|done| stepped_at as i64 > *done) {
            let what = format!("expected the optimiser's last step within {done:?} iterations, found {stepped_at}");
            return Err(refuse(what).into());
        }
        if self.ema.is_some() {
            let averaged = self.network.saved(state, "task_ema")?;
            self.ema = Some(Ema::new(self.network.whole(), &averaged, count(ema_updates)? as u64)?);
        }
        self.accumulated = None;
        if batches > 0 {
            let mut sums = Vec::new();
            for (i, own) in params.trainable().iter().enumerate() {
                let name = format!("task_accumulated.{i}");
                let tensor = tensor_from_host(entry(state, folder, &name)?)?.f_to_device(params.device())?;
                if tensor.size() != own.size() {
                    let (expected, found) = (own.size(), tensor.size());
                    return Err(refuse(format!("tensor `{name}`: expected shape {expected:?}, found {found:?}")).into());
                }
                sums.push(tensor);
            }
            self.accumulated = Some((batches, sums));
        }
        let balance = entry(state, folder, "task_balance")?.to_i64_vec()?;
        let balance: Vec<f64> = balance.into_iter().map(|bits| f64::from_bits(bits.cast_unsigned())).collect();
        self.sgd.load(state, "task_sgd")?;
        self.loss.set_balance(&balance)?;
        self.network.set_params(params);
        self.stepped_at = stepped_at;
        Ok(())
    }
}
