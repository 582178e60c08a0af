//! Starting weights of a task network, and what its files say.

use crate::error::SearchError;
use crate::ir_range;
use caf_geometry::Size;
use caf_image::IrRange;
use caf_net::zoo::task::TaskNetworkConfig;
use caf_net::{Graph, ParamRole};
use caf_weights::{HostTensor, Metadata, Weights, initial};
use std::path::Path;

/// Says in a weight file which task network it holds, its classes by number, and the size of its training images.
pub(super) fn describe<N: Into<TaskNetworkConfig>>(
    network: N,
    classes: &[String],
    [width, height]: [usize; 2],
    weights: &mut Weights,
) {
    let mut metadata = Metadata::of_network(&network.into());
    metadata.classes = Some(classes.to_vec());
    metadata.image_size = Some(Size { width, height });
    metadata.write_to(weights);
}

/// [`SearchError::TaskFile`].
pub(super) fn task_file(path: &Path, what: String) -> SearchError {
    SearchError::TaskFile { path: path.to_owned(), what }
}

/// Starting values and how many came from a file.
#[derive(Clone, Debug)]
pub(super) struct Start {
    /// Values of all parameters.
    pub weights: Weights,
    /// Entries taken from the file.
    pub taken: usize,
    /// Entries the network has.
    pub of: usize,
    /// The infrared range that the file was trained on, where it says one.
    pub ir_range: Option<IrRange>,
}

/// Fresh values by `seed`, then every entry of `found` (a file at `path`) with an equal name and shape.
///
/// # Errors
/// When the file shares no entry with the network but counters and anchors, which fit every network of a kind.
pub(super) fn start(graph: &Graph, found: Option<(&Weights, &Path)>, seed: u64) -> Result<Start, SearchError> {
    let mut weights = initial(graph.params(), seed)?;
    let of = weights.len();
    let Some((found, path)) = found else { return Ok(Start { weights, taken: 0, of, ir_range: None }) };
    let metadata = Metadata::of(found);
    let metadata = metadata.map_err(|error| task_file(path, format!("{error}")))?;
    let ir_range = ir_range::of_file(&metadata, path)?;
    let mut taken = 0;
    let mut is_of_this_kind = false;
    for spec in graph.params() {
        let Some(tensor) = found.get(&spec.name).filter(|t| t.shape() == spec.shape) else { continue };
        is_of_this_kind |= !tensor.shape().is_empty() && spec.role != ParamRole::Anchors;
        if weights.get(&spec.name).is_some_and(|own| same_kind(own, tensor)) {
            weights.replace(&spec.name, tensor.clone());
            taken += 1;
        }
    }
    if !is_of_this_kind {
        let name = graph.name();
        return Err(task_file(path, format!("no entry has the name and shape of one of {name}: another network")));
    }
    Ok(Start { weights, taken, of, ir_range })
}

impl Start {
    /// Refuses a file of another infrared range than that of the images.
    pub fn require_range(&self, file: Option<&Path>, images: Option<IrRange>) -> Result<(), SearchError> {
        match (file, images) {
            (Some(file), Some(range)) => {
                ir_range::agreed(ir_range::SETTING, Some(range), self.ir_range, file).map(|_| ())
            }
            _ => Ok(()),
        }
    }

    /// How much of a file was taken.
    pub fn words(&self, file: Option<&Path>) -> Option<String> {
        let Start { taken, of, .. } = self;
        file.map(|file| format!("{taken} of {of} entries taken from {}, the rest is fresh", file.display()))
    }
}

fn same_kind(a: &HostTensor, b: &HostTensor) -> bool {
    a.dtype().is_float() == b.dtype().is_float()
}
