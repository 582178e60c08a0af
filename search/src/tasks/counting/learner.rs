//! A counting network while it learns.

use super::density::Densities;
use super::evaluate::evaluate;
use super::settings::CountingSettings;
use crate::error::SearchError;
use crate::loader::Annotations;
use crate::tasks::adamw::AdamWLearner;
use crate::tasks::network::{Init, Network};
use crate::tasks::setup::Setup;
use crate::tasks::task::{Measured, Task, TaskReport, read};
use caf_geometry::Size;
use caf_net::zoo::density::SCALE;
use caf_torch::optim::{AdamConfig, AdamWGroup};
use caf_torch::{Mode, Params, forward, only};
use caf_weights::Weights;
use std::path::Path;
use tch::Tensor;

/// Network, loss and optimiser.
pub(super) struct Learner {
    learner: AdamWLearner,
    settings: CountingSettings,
    classes: usize,
    end: usize,
}

impl Learner {
    pub fn begin(setup: &Setup<'_>) -> Result<Self, SearchError> {
        let settings: CountingSettings = read(setup.settings)?;
        let init = settings.init.as_deref().map(Init::read).transpose()?;
        let classes = setup.classes.len();
        let config = settings.network(classes, init.as_ref().map(|init| &init.weights));
        let network = Network::begin(config.into(), init, setup)?;
        let o = &settings.optimizer;
        let config = AdamConfig { beta1: o.beta1, beta2: o.beta2, ..AdamConfig::default() };
        let group = |name: &str| AdamWGroup { rate: 1.0, decay: if name.contains("norm") { 0.0 } else { o.decay } };
        let learner = AdamWLearner::new(network, config, group, setup.seed)?;
        Ok(Learner { learner, settings, classes, end: setup.end })
    }

    fn densities(&self, annotations: &Annotations) -> Densities {
        let [n, height, width] = annotations.shape;
        let mut densities = Densities::new(n, self.classes, Size::new(width, height), self.settings.sigma_px);
        annotations.objects.iter().for_each(|(image, object)| densities.add(*image, object));
        annotations.ignore.iter().for_each(|(image, region)| densities.ignore(*image, region));
        densities
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
        loss(self.network(), params, image, &self.densities(annotations), mode)
    }

    fn train_step(
        &mut self,
        image: &Tensor,
        annotations: &Annotations,
        iteration: usize,
    ) -> Result<Vec<f64>, SearchError> {
        let (rate, densities) = (self.rate(iteration), self.densities(annotations));
        self.learner.step(iteration, rate, |network, params, mode| loss(network, params, image, &densities, mode))
    }

    fn rate(&self, iteration: usize) -> f64 {
        self.settings.optimizer.rate(iteration, self.end)
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
    densities: &Densities,
    mode: Mode,
) -> Result<Tensor, SearchError> {
    densities.loss(&only(forward(network.raw(), params, &[image], mode)?)?, SCALE)
}
