//! A segmentation network while it learns.

use super::evaluate::evaluate;
use super::loss::cross_entropy;
use super::settings::{PARTS, SegmentationSettings};
use crate::descent::descend;
use crate::error::SearchError;
use crate::loader::Annotations;
use crate::tasks::network::{Init, Network};
use crate::tasks::setup::Setup;
use crate::tasks::task::{Measured, Task, TaskReport, numbers, read, require_finite};
use caf_torch::optim::{AdamConfig, AdamW, AdamWGroup};
use caf_torch::{GradOptions, Mode, Params, forward, gradients, only};
use caf_weights::Weights;
use std::path::Path;
use tch::{Kind, Tensor};

/// Network, loss and optimiser.
pub(super) struct Learner {
    network: Network,
    settings: SegmentationSettings,
    /// Factor on the rate, and decay, of each trainable parameter.
    groups: Vec<AdamWGroup>,
    adamw: AdamW,
    end: usize,
    seed: u64,
}

impl Learner {
    pub fn begin(setup: &Setup<'_>) -> Result<Self, SearchError> {
        let settings: SegmentationSettings = read(setup.settings)?;
        let init = settings.init.as_deref().map(Init::read).transpose()?;
        let config = settings.network(setup.classes.len(), init.as_ref().map(|init| &init.weights));
        let network = Network::begin(config.into(), init, setup)?;
        let o = &settings.optimizer;
        let config = AdamConfig { beta1: o.beta1, beta2: o.beta2, ..AdamConfig::default() };
        let trainable = network.whole().params().iter().filter(|spec| spec.role.is_trainable());
        let groups = trainable.map(|spec| AdamWGroup {
            rate: if spec.name.contains("head") { o.head_factor } else { 1.0 },
            decay: if spec.name.contains("norm") { 0.0 } else { o.decay },
        });
        Ok(Learner {
            groups: groups.collect(),
            adamw: AdamW::new(config, &network.params().trainable())?,
            end: setup.end,
            seed: setup.seed,
            network,
            settings,
        })
    }
}

impl Task for Learner {
    fn network(&self) -> &Network {
        &self.network
    }

    fn loss(
        &self,
        params: &Params,
        image: &Tensor,
        annotations: &Annotations,
        mode: Mode,
    ) -> Result<Tensor, SearchError> {
        let logits = only(forward(self.network.raw(), params, &[image], mode)?)?;
        let shape = annotations.shape.map(|n| n as i64);
        let labels = Tensor::f_from_slice(&annotations.classes)?.f_reshape(shape)?.f_to_kind(Kind::Int64)?;
        cross_entropy(&logits, &labels.f_to_device(image.device())?, self.settings.loss.mean)
    }

    fn train_step(
        &mut self,
        image: &Tensor,
        annotations: &Annotations,
        iteration: usize,
    ) -> Result<Vec<f64>, SearchError> {
        let (recording, leaves) = self.params().recording()?;
        let loss = self.loss(&recording, image, annotations, Mode::train(self.seed, iteration as u64))?;
        let parts = numbers(&[&loss])?;
        require_finite(&PARTS, &parts, iteration)?;
        let gradients = gradients(&loss, &leaves, GradOptions::default())?;
        let rate = self.rate(iteration);
        let of = |group: &AdamWGroup| AdamWGroup { rate: rate * group.rate, decay: group.decay };
        let groups: Vec<AdamWGroup> = self.groups.iter().map(of).collect();
        let (trainable, adamw) = (self.network.params().trainable(), &mut self.adamw);
        descend("the task network", iteration, &gradients, None, |g| adamw.step(&trainable, g, &groups))?;
        Ok(parts)
    }

    fn rate(&self, iteration: usize) -> f64 {
        self.settings.optimizer.rate * self.settings.optimizer.share(iteration, self.end)
    }

    fn measure(&self, of: &Measured<'_>) -> Result<TaskReport, SearchError> {
        evaluate(of)
    }

    fn save(&self, state: &mut Weights) -> Result<(), SearchError> {
        self.network.save(self.params(), state, "task")?;
        Ok(self.adamw.save(state, "task_adamw")?)
    }

    fn load(&mut self, state: &Weights, _: &Path) -> Result<(), SearchError> {
        self.network.set_params(self.network.saved(state, "task")?);
        Ok(self.adamw.load(state, "task_adamw")?)
    }
}
