//! What a fusion network says of itself.
//!
//! A new one is a file beside this one and a line in [`FUSION_NETWORKS`](super::FUSION_NETWORKS). Everything else finds it
//! there: settings (`fusion.network.kind`), weight files, search, training, fusing and export.

use super::network::{Member, Network, NetworkConfig, Sides};
use crate::builder::Builder;
use crate::error::GraphError;
use crate::graph::Graph;
use crate::tensor::{Dim, TensorType, Value};
use caf_geometry::Size;
use std::fmt;
use std::sync::Arc;

/// A fusion network with its configuration.
pub type FusionConfig = NetworkConfig<dyn FusionNetwork>;

/// The receptive field of a network whose every pixel depends on the whole image.
pub const WHOLE_IMAGE: usize = usize::MAX;

/// A network that makes one luma of two, implemented by its configuration.
///
/// Inputs and result are on one scale: 0 is black, 1 is white. A network that computes on another scale, say [−1, 1], converts
/// inside [`build`](Self::build), so that nobody else needs to know.
pub trait FusionNetwork: fmt::Debug + Send + Sync {
    /// Smallest and largest value the fused luma can have, infinite where there is no limit; what can leave [0, 1] is clamped behind the network.
    fn output_range(&self) -> [f64; 2];

    /// Side of the square of input pixels that one fused pixel depends on; [`WHOLE_IMAGE`] where it depends on all.
    fn receptive_field_px(&self) -> usize;

    /// Which sizes of images it takes.
    fn sides(&self) -> Sides {
        Sides::ANY
    }

    /// Adds the network: infrared and visible luma in [0, 1], `[n, 1, h, w]` each, to the fused luma of the same shape, in
    /// [`output_range`](Self::output_range).
    ///
    /// # Errors
    /// When the configuration is impossible or the inputs do not fit; the message names the setting or the node.
    fn build(&self, b: &mut Builder, ir: Value, vi: Value) -> Result<Value, GraphError>;
}

impl FusionConfig {
    /// Whether it takes images of this size.
    ///
    /// # Errors
    /// [`GraphError::Config`] with the sizes it takes.
    pub fn check_size(&self, size: Size) -> Result<(), GraphError> {
        let sides = self.sides();
        if size.wh().into_iter().all(|side| sides.allow(side)) {
            return Ok(());
        }
        let what = format!("image sides: expected {sides}, found {size}");
        Err(GraphError::Config { network: self.kind(), what })
    }
}

/// Side of the images whose multiplications are counted: a multiple of every network's coarsest step, and large beside its
/// borders.
const COUNTED_PX: usize = 256;

impl FusionConfig {
    /// Multiply-adds of its convolutions for each pixel, on an image of 256×256.
    ///
    /// # Errors
    /// When the configuration is impossible.
    pub fn macs_per_pixel(&self) -> Result<u64, GraphError> {
        let graph = self.graph()?.bind(&[("batch", 1), ("height", COUNTED_PX), ("width", COUNTED_PX)])?;
        Ok(graph.conv_macs() / (COUNTED_PX * COUNTED_PX) as u64)
    }
}

impl<N: Network + FusionNetwork> Member<dyn FusionNetwork> for N {
    fn shared(self) -> Arc<dyn FusionNetwork> {
        Arc::new(self)
    }
}

/// The network alone: inputs `ir`, `vi` and output `fused`, `[batch, 1, height, width]` each; the output is not clamped.
pub(super) fn alone(network: &dyn FusionNetwork, kind: &str) -> Result<Graph, GraphError> {
    let mut b = Builder::new(kind);
    let named = |name: &str| Dim::Named(name.to_owned());
    let plane = TensorType::nchw(named("batch"), 1, named("height"), named("width"));
    let ir = b.input("ir", plane.clone())?;
    let vi = b.input("vi", plane)?;
    let fused = network.build(&mut b, ir, vi)?;
    b.output("fused", fused);
    Ok(b.finish())
}
