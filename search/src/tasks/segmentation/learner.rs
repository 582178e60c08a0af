//! A segmentation network while it learns.

use super::evaluate::evaluate;
use super::loss::cross_entropy;
use super::network::Segmenter;
use super::settings::{PARTS, SegmentationSettings};
use crate::descent::descend;
use crate::error::SearchError;
use crate::loader::{Annotations, TaskImages};
use crate::state::{insert, part};
use crate::tasks::task::{Setup, Task, TaskReport, numbers, read, require_finite};
use caf_console::{Progress, StopFlag};
use caf_torch::optim::{AdamConfig, AdamW, AdamWGroup};
use caf_torch::{GradOptions, Mode, Params, forward, gradients};
use caf_weights::Weights;
use std::path::Path;
use tch::{Kind, Tensor};

/// Network, loss and optimiser.
pub(super) struct Learner {
    segmenter: Segmenter,
    classes: Vec<String>,
    size_px: [usize; 2],
    settings: SegmentationSettings,
    params: Params,
    /// Factor on the rate, and decay, of each trainable parameter.
    groups: Vec<AdamWGroup>,
    adamw: AdamW,
    end: usize,
    seed: u64,
    started: Option<String>,
}

impl Learner {
    pub fn begin(setup: &Setup<'_>) -> Result<Self, SearchError> {
        let settings: SegmentationSettings = read(setup.settings)?;
        let network = settings.network(setup.classes.len());
        let (segmenter, start) = Segmenter::start(network, settings.init.as_deref(), setup.seed)?;
        start.require_range(settings.init.as_deref(), setup.ir_range)?;
        let params = Params::from_weights(segmenter.graph(), &start.weights, setup.device, setup.float)?;
        let o = &settings.optimizer;
        let config = AdamConfig { beta1: o.beta1, beta2: o.beta2, ..AdamConfig::default() };
        let trainable = segmenter.graph().params().iter().filter(|spec| spec.role.is_trainable());
        let groups = trainable.map(|spec| AdamWGroup {
            rate: if spec.name.contains("head") { o.head_factor } else { 1.0 },
            decay: if spec.name.contains("norm") { 0.0 } else { o.decay },
        });
        Ok(Learner {
            groups: groups.collect(),
            adamw: AdamW::new(config, &params.trainable())?,
            started: start.words(settings.init.as_deref()),
            classes: setup.classes.to_vec(),
            size_px: setup.size_px,
            end: setup.end,
            seed: setup.seed,
            segmenter,
            settings,
            params,
        })
    }
}

impl Task for Learner {
    fn params(&self) -> &Params {
        &self.params
    }

    fn loss(
        &self,
        params: &Params,
        image: &Tensor,
        annotations: &Annotations,
        mode: Mode,
    ) -> Result<Tensor, SearchError> {
        let outputs = forward(self.segmenter.graph(), params, &[image], mode)?;
        let logits = outputs.first().ok_or(tch::TchError::Shape("a network without output".into()))?;
        let shape = annotations.shape.map(|n| n as i64);
        let labels = Tensor::f_from_slice(&annotations.classes)?.f_reshape(shape)?.f_to_kind(Kind::Int64)?;
        cross_entropy(logits, &labels.f_to_device(image.device())?, self.settings.loss.mean)
    }

    fn train_step(
        &mut self,
        image: &Tensor,
        annotations: &Annotations,
        iteration: usize,
    ) -> Result<Vec<f64>, SearchError> {
        let (recording, leaves) = self.params.recording()?;
        let loss = self.loss(&recording, image, annotations, Mode::train(self.seed, iteration as u64))?;
        let parts = numbers(&[&loss])?;
        require_finite(&PARTS, &parts, iteration)?;
        let gradients = gradients(&loss, &leaves, GradOptions::default())?;
        let rate = self.rate(iteration);
        let of = |group: &AdamWGroup| AdamWGroup { rate: rate * group.rate, decay: group.decay };
        let groups: Vec<AdamWGroup> = self.groups.iter().map(of).collect();
        let (trainable, adamw) = (self.params.trainable(), &mut self.adamw);
        descend("the task network", iteration, &gradients, None, |g| adamw.step(&trainable, g, &groups))?;
        Ok(parts)
    }

    fn started(&self) -> Option<&str> {
        self.started.as_deref()
    }

    fn rate(&self, iteration: usize) -> f64 {
        self.settings.optimizer.rate * self.settings.optimizer.share(iteration, self.end)
    }

    fn weights(&self) -> Result<Weights, SearchError> {
        let mut weights = self.params.to_weights(self.segmenter.graph())?;
        self.segmenter.describe(&mut weights, &self.classes, self.size_px);
        Ok(weights)
    }

    fn evaluate(
        &self,
        images: &TaskImages,
        batch: usize,
        progress: &dyn Progress,
        stop: &StopFlag,
    ) -> Result<TaskReport, SearchError> {
        evaluate(self.segmenter.graph(), &self.params, images, batch, progress, stop)
    }

    fn save(&self, state: &mut Weights) -> Result<(), SearchError> {
        insert(state, "task", &self.params.to_weights(self.segmenter.graph())?)?;
        Ok(self.adamw.save(state, "task_adamw")?)
    }

    fn load(&mut self, state: &Weights, _: &Path) -> Result<(), SearchError> {
        let (device, float) = (self.params.device(), self.params.kind());
        self.params = Params::from_weights(self.segmenter.graph(), &part(state, "task")?, device, float)?;
        Ok(self.adamw.load(state, "task_adamw")?)
    }
}
