//! What a fusion network says of itself.
//!
//! A new one is a file beside this one and a line in [`FUSION_NETWORKS`](super::FUSION_NETWORKS). Everything else finds it
//! there: settings (`fusion.network.kind`), weight files, search, training, fusing and export.

use super::network::{Member, Network, NetworkConfig};
use crate::builder::Builder;
use crate::error::GraphError;
use crate::graph::Graph;
use crate::tensor::{Dim, TensorType, Value};
use std::fmt;
use std::sync::Arc;

/// A fusion network with its configuration.
pub type FusionConfig = NetworkConfig<dyn FusionNetwork>;

/// A network that makes one luma of two, implemented by its configuration.
///
/// Inputs and result are on one scale: 0 is black, 1 is white. A network that computes on another scale, say [−1, 1], converts
/// inside [`build`](Self::build), so that nobody else needs to know.
pub trait FusionNetwork: fmt::Debug + Send + Sync {
    /// Smallest and largest value the fused luma can have; what can leave [0, 1] is clamped behind the network.
    fn output_range(&self) -> [f64; 2];

    /// Side of the square of input pixels that one fused pixel depends on.
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

/// Sizes that a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    /// Shortest side, px.
    pub least_px: usize,
    /// Both sides are multiples of this, px.
    pub multiple_of_px: usize,
}

impl Sides {
    /// Every size.
    pub const ANY: Sides = Sides { least_px: 1, multiple_of_px: 1 };

    /// Whether an image with such a side can be fused.
    pub fn allows(&self, side_px: usize) -> bool {
        side_px >= self.least_px && side_px.is_multiple_of(self.multiple_of_px)
    }
}

impl FusionConfig {
    /// Whether it takes images of this height and width.
    ///
    /// # Errors
    /// [`GraphError::Config`] with the sizes it takes.
    pub fn check_size(&self, [height, width]: [usize; 2]) -> Result<(), GraphError> {
        let sides = self.sides();
        if sides.allows(height) && sides.allows(width) {
            return Ok(());
        }
        let what = format!("image sides: expected {sides}, found {width}x{height}");
        Err(GraphError::Config { network: self.kind(), what })
    }
}

/// For people: `at least 2 px`, `multiples of 4 px from 8 px`.
impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.multiple_of_px {
            1 => write!(f, "at least {} px", self.least_px),
            n => write!(f, "multiples of {n} px from {} px", self.least_px),
        }
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
