//! The networks this project knows, and the lists that everything else finds them by.

pub mod caf;
pub mod deeplab;
pub mod defusion;
pub mod density;
pub mod didfuse;
pub mod fusion;
pub mod network;
pub mod pipeline;
pub mod reconet;
pub mod sdnet;
pub mod segformer;
pub mod student;
pub mod tardal;
pub mod task;
pub mod u2fusion;
pub mod umfusion;
pub mod yolov5;

use crate::error::GraphError;
use crate::graph::Graph;
use fusion::{FusionConfig, FusionNetwork};
use network::{Family, Kind, Network};
use task::TaskNetwork;

/// Every fusion network.
pub static FUSION_NETWORKS: &[Kind<dyn FusionNetwork>] = &[
    Kind::of::<caf::CafConfig>(),
    Kind::of::<u2fusion::U2FusionConfig>(),
    Kind::of::<reconet::ReCoNetConfig>(),
    Kind::of::<umfusion::UmFusionConfig>(),
    Kind::of::<didfuse::DidFuseConfig>(),
    Kind::of::<sdnet::SdNetConfig>(),
    Kind::of::<tardal::TarDalConfig>(),
    Kind::of::<student::StudentConfig>(),
    Kind::of::<defusion::DeFusionConfig>(),
];

/// Every task network.
pub static TASK_NETWORKS: &[Kind<dyn TaskNetwork>] = &[
    Kind::of::<yolov5::YoloConfig>(),
    Kind::of::<segformer::SegFormerConfig>(),
    Kind::of::<deeplab::DeepLabConfig>(),
    Kind::of::<density::DensityConfig>(),
];

impl Family for dyn FusionNetwork {
    const WHAT: &'static str = "fusion network";
    const DEFAULT: Option<&'static str> = Some(caf::CafConfig::KIND);

    fn kinds() -> &'static [Kind<Self>] {
        FUSION_NETWORKS
    }

    /// Inputs `ir`, `vi` and output `fused`, `[batch, 1, height, width]` each; the output is not clamped.
    fn graph(&self, kind: &'static str) -> Result<Graph, GraphError> {
        fusion::alone(self, kind)
    }
}

impl Default for FusionConfig {
    /// The paper's network at its published widths.
    fn default() -> Self {
        caf::CafConfig::default().into()
    }
}

impl Family for dyn TaskNetwork {
    const WHAT: &'static str = "task network";
    const DEFAULT: Option<&'static str> = None;

    fn kinds() -> &'static [Kind<Self>] {
        TASK_NETWORKS
    }

    /// Input `image`, `[batch, 3, height, width]`, RGB in [0, 1]; output that of its task.
    fn graph(&self, kind: &'static str) -> Result<Graph, GraphError> {
        task::alone(self, kind)
    }
}

#[cfg(test)]
mod tests;
