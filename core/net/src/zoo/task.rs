//! What a task network says of itself.
//!
//! A new one is a file beside this one and a line in [`TASK_NETWORKS`](super::TASK_NETWORKS).

use super::network::{Found, Kind, Network, NetworkConfig};
use crate::builder::Builder;
use crate::error::GraphError;
use crate::graph::Graph;
use crate::tensor::{Dim, TensorType, Value};
use std::fmt;
use std::sync::Arc;

/// A task network with its configuration.
pub type TaskNetworkConfig = NetworkConfig<dyn TaskNetwork>;

/// A network that looks at one image, implemented by its configuration.
pub trait TaskNetwork: fmt::Debug + Send + Sync {
    /// Number of classes it tells apart.
    fn classes(&self) -> usize;

    /// Both sides of its image are multiples of this, px.
    fn side_multiple_px(&self) -> usize;

    /// Adds the network with its decoding: RGB in [0, 1], `[n, 3, h, w]`, to its results by name.
    ///
    /// # Errors
    /// When the configuration is impossible or the image does not fit; the message names the setting or the node.
    fn build(&self, b: &mut Builder, image: Value) -> Result<Vec<(&'static str, Value)>, GraphError>;
}

/// The line of a network in the list.
pub(super) const fn kind<N: Network + TaskNetwork>() -> Kind<dyn TaskNetwork> {
    Kind {
        kind: N::KIND,
        facts: N::FACTS,
        parse: |json| Ok(serde_json::from_value::<N>(json)?.into()),
        recognise: |tensors| {
            N::recognise(tensors).map(|found| Found { config: found.config.into(), kernels: found.kernels })
        },
    }
}

impl<N: Network + TaskNetwork> From<N> for TaskNetworkConfig {
    fn from(config: N) -> Self {
        let config = Arc::new(config);
        let network: Arc<dyn TaskNetwork> = Arc::clone(&config) as Arc<dyn TaskNetwork>;
        NetworkConfig::new(&*config, network)
    }
}

/// The network alone: input `image`, `[batch, 3, height, width]`, RGB in [0, 1]; outputs as [`TaskNetwork::build`] names them.
pub(super) fn alone(network: &dyn TaskNetwork, kind: &str) -> Result<Graph, GraphError> {
    let mut b = Builder::new(kind);
    let named = |name: &str| Dim::Named(name.to_owned());
    let image = b.input("image", TensorType::nchw(named("batch"), 3, named("height"), named("width")))?;
    for (name, value) in network.build(&mut b, image)? {
        b.output(name, value);
    }
    Ok(b.finish())
}
