//! Starting weights of a task network, and what its files say.

use crate::error::SearchError;
use crate::run_settings::Sides;
use caf_geometry::Size;
use caf_net::{Graph, ParamRole};
use caf_weights::{HostTensor, Metadata, Weights, initial};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Metadata key that names the kind of network in a weight file.
pub(super) const NETWORK_KEY: &str = "network";

/// What a weight file says of its task network.
#[derive(Clone, Debug)]
pub(super) struct Description<C> {
    /// Configuration of the network.
    pub config: C,
    /// Class names by number.
    pub classes: Vec<String>,
    /// Width and height of the images it was trained on, when they are given.
    pub image_size_px: Option<[usize; 2]>,
}

impl<C: Serialize + DeserializeOwned> Description<C> {
    /// Says it in a weight file.
    pub fn write(&self, network: &str, weights: &mut Weights) {
        let metadata = Metadata {
            network: Some(network.to_owned()),
            // A plain value always has a JSON form.
            config: serde_json::to_value(&self.config).ok(),
            classes: Some(self.classes.clone()),
            image_size: self.image_size_px.map(|[width, height]| Size { width, height }),
            ir_range: None,
        };
        metadata.write_to(weights);
    }

    /// What a weight file made by this crate says; none when it is of another network or says nothing.
    ///
    /// # Errors
    /// When what it says cannot be understood.
    pub fn read(network: &str, sides: Sides, weights: &Weights, path: &Path) -> Result<Option<Self>, SearchError> {
        if weights.metadata().get(NETWORK_KEY).is_none_or(|found| found != network) {
            return Ok(None);
        }
        let Metadata { config, classes, image_size, .. } =
            Metadata::of(weights).map_err(|error| task_file(path, error.to_string()))?;
        let absent = |key| task_file(path, format!("metadata `{key}`: expected JSON, found none"));
        if let Some(size) = image_size.filter(|size| !size.wh().iter().all(|side| sides.allow(*side))) {
            let what = format!("metadata `image_size_px`: expected {}, found {size}", sides.words());
            return Err(task_file(path, what));
        }
        let config = serde_json::from_value(config.ok_or_else(|| absent("config"))?);
        Ok(Some(Description {
            config: config.map_err(|error| task_file(path, format!("metadata `config`: {error}")))?,
            classes: classes.ok_or_else(|| absent("classes"))?,
            image_size_px: image_size.map(Size::wh),
        }))
    }
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
}

/// Fresh values by `seed`, then every entry of `found` (a file at `path`) with an equal name and shape.
///
/// # Errors
/// When the file shares no entry with the network but counters and anchors, which fit every network of a kind.
pub(super) fn start(graph: &Graph, found: Option<(&Weights, &Path)>, seed: u64) -> Result<Start, SearchError> {
    let mut weights = initial(graph.params(), seed)?;
    let of = weights.len();
    let Some((found, path)) = found else { return Ok(Start { weights, taken: 0, of }) };
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
    Ok(Start { weights, taken, of })
}

impl Start {
    /// How much of a file was taken.
    pub fn words(&self, file: Option<&Path>) -> Option<String> {
        let Start { taken, of, .. } = self;
        file.map(|file| format!("{taken} of {of} entries taken from {}, the rest is fresh", file.display()))
    }
}

fn same_kind(a: &HostTensor, b: &HostTensor) -> bool {
    a.dtype().is_float() == b.dtype().is_float()
}
