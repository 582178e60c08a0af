//! The fusion network with its parameters, and its file.

use crate::error::SearchError;
use crate::weight_file::{describe_ir_range, read_weights, write_weights};
use caf_data::IrRange;
use caf_net::Graph;
use caf_net::zoo::caf::{self, CafConfig};
use caf_torch::{Mode, Params, forward};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Metadata key that names the kind of network in a weight file.
pub const NETWORK_KEY: &str = "network";
/// Value of [`NETWORK_KEY`] for the CAF fusion network.
pub const NETWORK: &str = "caf";
/// Metadata key of the network's configuration, JSON of [`CafConfig`].
pub const CONFIG_KEY: &str = "config";

/// A fusion network on a device.
#[derive(Debug)]
pub struct FusionNet {
    config: CafConfig,
    graph: Graph,
    /// Its parameters.
    pub params: Params,
}

impl FusionNet {
    /// Fresh parameters by seed.
    ///
    /// # Errors
    /// When the configuration is impossible.
    pub fn fresh(config: CafConfig, seed: u64, device: Device) -> Result<Self, SearchError> {
        let graph = caf::graph(&config)?;
        let params = Params::init(&graph, seed, device, Kind::Float)?;
        Ok(FusionNet { config, graph, params })
    }

    /// Reads safetensors, or an original `.pth` without executing anything in it. The widths come from the file's metadata, or
    /// are the published ones.
    ///
    /// # Errors
    /// When the file cannot be read or holds another network: every difference is listed.
    pub fn read(path: &Path, device: Device) -> Result<Self, SearchError> {
        let weights = read_weights::<SearchError>(path)?;
        let config = match weights.metadata().get(CONFIG_KEY) {
            Some(text) if weights.metadata().get(NETWORK_KEY).is_some_and(|n| n == NETWORK) => {
                serde_json::from_str(text).map_err(|source| SearchError::Json { path: path.to_owned(), source })?
            }
            _ => CafConfig::default(),
        };
        let graph = caf::graph(&config)?;
        let mismatch = |mismatch| SearchError::Mismatch { path: path.to_owned(), mismatch };
        weights.check(graph.params()).map_err(mismatch)?;
        let params = Params::from_weights(&graph, &weights, device, Kind::Float)?;
        Ok(FusionNet { config, graph, params })
    }

    /// Writes the parameters; the metadata holds the configuration and how 16-bit infrared reached the network.
    ///
    /// # Errors
    /// When a parameter is not finite, or the folder cannot be written.
    pub fn write(&self, path: &Path, ir_range: IrRange) -> Result<(), SearchError> {
        let mut weights = self.params.to_weights(&self.graph)?;
        weights.set_metadata(NETWORK_KEY, NETWORK);
        let config = serde_json::to_string(&self.config)
            .map_err(|source| SearchError::Json { path: path.to_owned(), source })?;
        weights.set_metadata(CONFIG_KEY, config);
        describe_ir_range(&mut weights, ir_range);
        Ok(write_weights(&weights, path)?)
    }

    /// The network as data.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The widths.
    pub fn config(&self) -> &CafConfig {
        &self.config
    }

    /// The raw fused luma in (−1, 1) of infrared and visible luma, `[n, 1, h, w]` each.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn fuse(&self, params: &Params, ir: &Tensor, vi: &Tensor, mode: Mode) -> Result<Tensor, SearchError> {
        let mut outputs = forward(&self.graph, params, &[ir, vi], mode)?;
        outputs.pop().ok_or_else(|| tch::TchError::Shape("the fusion network has no output".to_owned()).into())
    }
}
