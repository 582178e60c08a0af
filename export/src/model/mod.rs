//! A vehicle's model out of weight files.

mod contract;
mod files;
mod parts;
mod task;

pub use caf_geometry::Size;
pub use files::{FusionFile, Part, TaskFile};
pub use parts::{Parts, Settings};

use crate::error::ExportError;
use crate::onnx::{ExportOptions, onnx};
use crate::precision::Plan;
use caf_contract::Contract;
use caf_net::Graph;
use caf_net::zoo::pipeline::{self, FUSION_SCOPE, PipelineConfig};
use caf_weights::Weights;

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
        let (fusion, tasks) = (parts.fusion(), parts.tasks());
        let stages = task::stages(tasks, settings.task_size)?;
        let mut weights = Weights::new();
        let of_fusion = fusion.map(|file| (FUSION_SCOPE.to_owned(), file.weights()));
        let of_tasks = stages.iter().zip(tasks).map(|(stage, file)| (stage.scope(), file.part().weights()));
        for (scope, part) in of_fusion.into_iter().chain(of_tasks) {
            for (name, tensor) in part.iter() {
                weights.insert(format!("{scope}{name}"), tensor.clone()).map_err(ExportError::from)?;
            }
        }
        let Settings { samples, colour, size, batch, .. } = *settings;
        let graph = match fusion {
            Some(fusion) => {
                let (fusion, tasks) = (fusion.network().clone(), stages.clone());
                pipeline::graph(&PipelineConfig { fusion, samples, colour, size, batch, tasks })?
            }
            None if stages.is_empty() => {
                return Err(ExportError::settings("a model needs a fusion network, a task network or both"));
            }
            None => pipeline::task_graph(&stages, samples, batch, size)?,
        };
        let contract = contract::contract(&graph, parts, settings, &stages)?;
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
        self.to_onnx_as(fold, &Plan::Single)
    }

    /// The ONNX file's bytes, its nodes computing as a plan says; so does the contract.
    ///
    /// # Errors
    /// See [`onnx`].
    pub fn to_onnx_as(&self, fold: bool, plan: &Plan) -> Result<Vec<u8>, ExportError> {
        let contract = Contract { precision: plan.precision(), ..self.contract.clone() };
        onnx(&self.graph, &self.weights, &ExportOptions { fold, contract: Some(contract), plan: plan.clone() })
    }
}
