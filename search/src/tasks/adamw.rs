//! A network that learns by AdamW, the loss of its task being one number.

use super::network::Network;
use super::task::{numbers, require_finite};
use crate::descent::descend;
use crate::error::SearchError;
use caf_torch::optim::{AdamConfig, AdamW, AdamWGroup};
use caf_torch::{Mode, Params, gradients_of_all};
use caf_weights::Weights;
use tch::Tensor;

/// A network with its optimiser.
pub(super) struct AdamWLearner {
    network: Network,
    /// Factor on the rate, and decay, of each trainable parameter.
    groups: Vec<AdamWGroup>,
    adamw: AdamW,
    seed: u64,
}

impl AdamWLearner {
    /// `group` gives the factor on the rate and the decay of a parameter by its name; what is dropped at random follows from the seed.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(
        network: Network,
        config: AdamConfig,
        group: impl Fn(&str) -> AdamWGroup,
        seed: u64,
    ) -> Result<Self, SearchError> {
        let trainable = network.whole().params().iter().filter(|spec| spec.role.is_trainable());
        let groups = trainable.map(|spec| group(&spec.name)).collect();
        let adamw = AdamW::new(config, &network.params().trainable())?;
        Ok(AdamWLearner { network, groups, adamw, seed })
    }

    pub fn network(&self) -> &Network {
        &self.network
    }

    /// One step at a rate down the loss of the network under parameters, which is given back.
    ///
    /// # Errors
    /// As [`Task::train_step`](super::task::Task::train_step).
    pub fn step(
        &mut self,
        iteration: usize,
        rate: f64,
        loss: impl FnOnce(&Network, &Params, Mode) -> Result<Tensor, SearchError>,
    ) -> Result<Vec<f64>, SearchError> {
        let (recording, leaves) = self.network.params().recording()?;
        let loss = loss(&self.network, &recording, Mode::train(self.seed, iteration as u64))?;
        let parts = numbers(&[&loss])?;
        require_finite(&["total"], &parts, iteration)?;
        let gradients = gradients_of_all(&loss, &leaves)?;
        let of = |group: &AdamWGroup| AdamWGroup { rate: rate * group.rate, decay: group.decay };
        let groups: Vec<AdamWGroup> = self.groups.iter().map(of).collect();
        let (trainable, adamw) = (self.network.params().trainable(), &mut self.adamw);
        descend("the task network", iteration, &gradients, None, |g| adamw.step(&trainable, g, &groups))?;
        Ok(parts)
    }

    /// As [`Task::save`](super::task::Task::save).
    pub fn save(&self, state: &mut Weights) -> Result<(), SearchError> {
        self.network.save(self.network.params(), state, "task")?;
        Ok(self.adamw.save(state, "task_adamw")?)
    }

    /// As [`Task::load`](super::task::Task::load).
    pub fn load(&mut self, state: &Weights) -> Result<(), SearchError> {
        self.network.set_params(self.network.saved(state, "task")?);
        Ok(self.adamw.load(state, "task_adamw")?)
    }
}
