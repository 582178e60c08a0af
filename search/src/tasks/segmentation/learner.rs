//! A segmentation network while it learns.

use super::evaluate::evaluate;
use super::loss::cross_entropy;
use super::settings::{Mean, SegmentationSettings};
use crate::error::SearchError;
use crate::loader::Annotations;
use crate::run_settings::require;
use crate::tasks::adamw::AdamWLearner;
use crate::tasks::network::{Init, Network};
use crate::tasks::setup::Setup;
use crate::tasks::task::{Measured, Task, TaskReport, read};
use caf_net::ParamRole;
use caf_net::zoo::deeplab::DeepLabConfig;
use caf_net::zoo::network::Network as _;
use caf_torch::optim::{AdamConfig, AdamWGroup};
use caf_torch::{Mode, Params, forward, only};
use caf_weights::Weights;
use std::collections::HashSet;
use std::path::Path;
use tch::{Kind, Tensor};

/// Network, loss and optimiser.
pub(super) struct Learner {
    learner: AdamWLearner,
    settings: SegmentationSettings,
    end: usize,
}

impl Learner {
    pub fn begin(setup: &Setup<'_>) -> Result<Self, SearchError> {
        let settings: SegmentationSettings = read(setup.settings)?;
        let init = settings.init.as_deref().map(Init::read).transpose()?;
        let config = settings.network(setup.classes.len(), init.as_ref().map(|init| &init.weights))?;
        let is_deeplab = config.kind() == DeepLabConfig::KIND;
        let expected = "at least 2 with DeepLabV3+, which normalises the mean of each image by those of its batch";
        require("run.batch", !is_deeplab || setup.batch > 1, expected, setup.batch)?;
        let network = Network::begin(config, init, setup)?;
        let o = &settings.optimizer;
        let config = AdamConfig { beta1: o.beta1, beta2: o.beta2, ..AdamConfig::default() };
        let norms = network.whole().params().iter();
        let norms = norms.filter(|p| matches!(p.role, ParamRole::NormWeight | ParamRole::NormBias));
        let norms: HashSet<String> = norms.map(|p| p.name.clone()).collect();
        let group = |name: &str| {
            let (in_head, is_norm) = match is_deeplab {
                true => (!name.starts_with("backbone."), norms.contains(name)),
                // By the original's rule, which leaves out the decoder's normalisation.
                false => (name.contains("head"), name.contains("norm")),
            };
            AdamWGroup { rate: if in_head { o.head_factor } else { 1.0 }, decay: if is_norm { 0.0 } else { o.decay } }
        };
        let learner = AdamWLearner::new(network, config, group, setup.seed)?;
        Ok(Learner { learner, settings, end: setup.end })
    }
}

impl Task for Learner {
    fn network(&self) -> &Network {
        self.learner.network()
    }

    fn loss(
        &self,
        params: &Params,
        image: &Tensor,
        annotations: &Annotations,
        mode: Mode,
    ) -> Result<Tensor, SearchError> {
        loss(self.network(), params, image, annotations, self.settings.loss.mean, mode)
    }

    fn train_step(
        &mut self,
        image: &Tensor,
        annotations: &Annotations,
        iteration: usize,
    ) -> Result<Vec<f64>, SearchError> {
        let (rate, mean) = (self.rate(iteration), self.settings.loss.mean);
        self.learner
            .step(iteration, rate, |network, params, mode| loss(network, params, image, annotations, mean, mode))
    }

    fn rate(&self, iteration: usize) -> f64 {
        self.settings.optimizer.rate * self.settings.optimizer.share(iteration, self.end)
    }

    fn measure(&self, of: &Measured<'_>) -> Result<TaskReport, SearchError> {
        evaluate(of)
    }

    fn save(&self, state: &mut Weights) -> Result<(), SearchError> {
        self.learner.save(state)
    }

    fn load(&mut self, state: &Weights, _: &Path) -> Result<(), SearchError> {
        self.learner.load(state)
    }
}

fn loss(
    network: &Network,
    params: &Params,
    image: &Tensor,
    annotations: &Annotations,
    mean: Mean,
    mode: Mode,
) -> Result<Tensor, SearchError> {
    let logits = only(forward(network.raw(), params, &[image], mode)?)?;
    let shape = annotations.shape.map(|n| n as i64);
    let labels = Tensor::f_from_slice(&annotations.classes)?.f_reshape(shape)?.f_to_kind(Kind::Int64)?;
    cross_entropy(&logits, &labels.f_to_device(image.device())?, mean)
}
