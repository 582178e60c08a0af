//! What a task network says of itself.
//!
//! A new one is a file beside this one and a line in [`TASK_NETWORKS`](super::TASK_NETWORKS). Weight files, evaluation and export find
//! it there, by what it is for.

use super::network::{Member, Network, NetworkConfig, Sides};
use crate::builder::Builder;
use crate::error::GraphError;
use crate::graph::Graph;
use crate::tensor::{Dim, TensorType, Value};
use caf_contract::Task;
use std::fmt;
use std::sync::Arc;

/// A task network with its configuration.
pub type TaskNetworkConfig = NetworkConfig<dyn TaskNetwork>;

/// A network that looks at one image, implemented by its configuration. A configuration that names nothing but `classes` is that of
/// its smallest published size.
pub trait TaskNetwork: fmt::Debug + Send + Sync {
    /// What it is for, and so what its output is: the [`caf_contract::TaskContract::port`] that the task promises.
    fn task(&self) -> &'static Task;

    /// Number of classes it tells apart.
    fn classes(&self) -> usize;

    /// Which sizes of images it takes.
    fn sides(&self) -> Sides;

    /// Names of the nodes whose results its loss takes: what there is before the decoding.
    fn raw(&self) -> &'static [&'static str];

    /// Adds the network with its decoding: RGB in [0, 1], `[n, 3, h, w]`, to the output of its task.
    ///
    /// # Errors
    /// When the configuration is impossible or the image does not fit; the message names the setting or the node.
    fn build(&self, b: &mut Builder, image: Value) -> Result<Value, GraphError>;
}

impl<N: Network + TaskNetwork> Member<dyn TaskNetwork> for N {
    fn shared(self) -> Arc<dyn TaskNetwork> {
        Arc::new(self)
    }
}

/// The network alone: input `image`, `[batch, 3, height, width]`, RGB in [0, 1]; output that of its task.
pub(super) fn alone(network: &dyn TaskNetwork, kind: &str) -> Result<Graph, GraphError> {
    let mut b = Builder::new(kind);
    let named = |name: &str| Dim::Named(name.to_owned());
    let image = b.input("image", TensorType::nchw(named("batch"), 3, named("height"), named("width")))?;
    let output = network.build(&mut b, image)?;
    b.output(network.task().output, output);
    Ok(b.finish())
}
