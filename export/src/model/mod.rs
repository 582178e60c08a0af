//! A vehicle's model out of weight files.

mod contract;
mod files;
mod settings;
mod task;

pub use caf_geometry::Size;
pub use files::{FusionFile, TaskFile};
pub use settings::Settings;

use crate::error::ExportError;
use crate::onnx::{ExportOptions, onnx};
use caf_contract::Contract;
use caf_net::Graph;
use caf_net::zoo::pipeline::{self, FUSION_SCOPE, PipelineConfig, TASK_SCOPE};
use caf_weights::Weights;

/// What a model is made from.
#[derive(Clone, Copy, Debug)]
pub enum Parts<'a> {
    /// `ir`, `vi` → `fused`.
    Fusion(&'a FusionFile),
    /// `image` → the output of the task.
    Task(&'a TaskFile),
    /// `ir`, `vi` → `fused` and the output of the task.
    Pipeline(&'a FusionFile, &'a TaskFile),
}

impl<'a> Parts<'a> {
    fn files(self) -> (Option<&'a FusionFile>, Option<&'a TaskFile>) {
        match self {
            Parts::Fusion(fusion) => (Some(fusion), None),
            Parts::Task(task) => (None, Some(task)),
            Parts::Pipeline(fusion, task) => (Some(fusion), Some(task)),
        }
    }
}

/// A model that is ready to be written.
#[derive(Clone, Debug)]
pub struct Model {
    graph: Graph,
    weights: Weights,
    contract: Contract,
}

impl Model {
    /// Builds graph, weights and contract.
    ///
    /// # Errors
    /// When the settings make no model; the weights were checked when the files were opened.
    pub fn new(parts: Parts<'_>, settings: &Settings) -> Result<Self, ExportError> {
        let mut weights = Weights::new();
        let (fusion, task) = parts.files();
        for (scope, part) in
            [(FUSION_SCOPE, fusion.map(FusionFile::weights)), (TASK_SCOPE, task.map(|task| task.weights()))]
        {
            for (name, tensor) in part.into_iter().flat_map(Weights::iter) {
                weights.insert(format!("{scope}{name}"), tensor.clone()).map_err(ExportError::from)?;
            }
        }
        let stage = task.map(|task| settings.stage(task)).transpose()?;
        let Settings { samples, colour, size, batch, .. } = *settings;
        let graph = match (fusion, &stage) {
            (Some(fusion), task) => {
                let (fusion, task) = (fusion.network().clone(), task.clone());
                pipeline::graph(&PipelineConfig { fusion, samples, colour, size, batch, task })?
            }
            (None, Some(stage)) => pipeline::task_graph(stage, samples, batch, size)?,
            (None, None) => {
                return Err(ExportError::settings("a model needs a fusion network, a task network or both"));
            }
        };
        let letterbox = stage.and_then(|stage| stage.letterbox);
        let contract = contract::contract(&graph, parts, settings, letterbox);
        contract.check_extents()?;
        Ok(Model { graph, weights, contract })
    }

    /// The graph with its pre- and post-processing.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The weights under the graph's names.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// What the file promises.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The ONNX file's bytes.
    ///
    /// # Errors
    /// See [`onnx`].
    pub fn to_onnx(&self, fold: bool) -> Result<Vec<u8>, ExportError> {
        onnx(&self.graph, &self.weights, &ExportOptions { fold, contract: Some(self.contract.clone()) })
    }
}
