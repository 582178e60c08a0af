//! The fusion network with its parameters, and its file.

use crate::error::SearchError;
use crate::weight_file::write_weights;
use caf_console::{Progress, tell_notes};
use caf_geometry::Size;
use caf_image::IrRange;
use caf_net::Graph;
use caf_net::zoo::fusion::FusionConfig;
use caf_torch::{Mode, Params, Trace, forward, forward_traced, only};
use caf_weights::{FusionFile, Metadata};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// A fusion network on a device.
#[derive(Debug)]
pub struct FusionNet {
    config: FusionConfig,
    graph: Graph,
    ir_range: Option<IrRange>,
    /// Its parameters.
    pub params: Params,
}

impl FusionNet {
    /// Fresh parameters by seed.
    ///
    /// # Errors
    /// When the configuration is impossible.
    pub fn fresh(config: FusionConfig, seed: u64, device: Device) -> Result<Self, SearchError> {
        let graph = config.graph()?;
        let params = Params::init(&graph, seed, device, Kind::Float)?;
        Ok(FusionNet { config, graph, ir_range: None, params })
    }

    /// Reads the weights of any fusion network of the zoo; what was changed on the way is told on standard error.
    ///
    /// # Errors
    /// When the file cannot be read or holds no fusion network: every difference is listed.
    pub fn read(path: &Path, device: Device) -> Result<Self, SearchError> {
        FusionNet::from_file(FusionFile::open(path)?, device)
    }

    /// [`FusionNet::read`] as this network, where the settings name another one than the default: it goes before the file's.
    ///
    /// # Errors
    /// Also when the file holds another network.
    pub fn read_as(path: &Path, network: &FusionConfig, device: Device) -> Result<Self, SearchError> {
        let file = FusionFile::open(path)?;
        let said = *network != FusionConfig::default();
        FusionNet::from_file(if said { file.as_network(network.clone())? } else { file }, device)
    }

    fn from_file(file: FusionFile, device: Device) -> Result<Self, SearchError> {
        let FusionFile { path, network: config, weights, notes, metadata, .. } = file;
        tell_notes(&path, &notes);
        let graph = config.graph()?;
        let params = Params::from_weights(&graph, &weights, device, Kind::Float)?;
        Ok(FusionNet { config, graph, ir_range: metadata.ir_range, params })
    }

    /// Writes the parameters; the metadata holds the configuration and how 16-bit infrared reached the network.
    ///
    /// # Errors
    /// When a parameter is not finite, or the folder cannot be written.
    pub fn write(&self, path: &Path, ir_range: IrRange) -> Result<(), SearchError> {
        let mut weights = self.params.to_weights(&self.graph)?;
        Metadata { ir_range: Some(ir_range), ..Metadata::of_network(&self.config) }.write_to(&mut weights);
        Ok(write_weights(&weights, path)?)
    }

    /// Says which network it is.
    pub fn tell(&self, progress: &dyn Progress) {
        progress.say(&format!("fusion network: {}", self.config));
    }

    /// The infrared range that it was trained on, where its file says so.
    pub fn ir_range(&self) -> Option<IrRange> {
        self.ir_range
    }

    /// The network as data.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Which network.
    pub fn config(&self) -> &FusionConfig {
        &self.config
    }

    /// The fused luma of infrared and visible luma, `[n, 1, h, w]` each, in the network's own range: not clamped.
    ///
    /// # Errors
    /// When the network takes no images of that size, or libtorch refuses.
    pub fn fuse(&self, params: &Params, ir: &Tensor, vi: &Tensor, mode: Mode) -> Result<Tensor, SearchError> {
        self.check_size(ir)?;
        Ok(only(forward(&self.graph, params, &[ir, vi], mode)?)?)
    }

    /// The same, and what its derivative along a direction of the parameters needs.
    ///
    /// # Errors
    /// As [`FusionNet::fuse`].
    pub fn fuse_traced(
        &self,
        params: &Params,
        ir: &Tensor,
        vi: &Tensor,
        mode: Mode,
    ) -> Result<(Tensor, Trace), SearchError> {
        self.check_size(ir)?;
        let (outputs, trace) = forward_traced(&self.graph, params, &[ir, vi], mode)?;
        Ok((only(outputs)?, trace))
    }

    fn check_size(&self, image: &Tensor) -> Result<(), SearchError> {
        if let [.., height, width] = image.size()[..] {
            // A tensor's extents are never negative.
            let [width, height] = [width, height].map(|side| side.unsigned_abs() as usize);
            self.config.check_size(Size::new(width, height))?;
        }
        Ok(())
    }
}
