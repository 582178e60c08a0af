//! All tasks.

use super::detection::Detection;
use super::segmentation::Segmentation;
use super::start::NETWORK_KEY;
use super::task::{TaskKind, Trained};
use crate::error::SearchError;
use crate::weight_file::read_weights;
use caf_weights::{Metadata, TaskFile};
use std::path::Path;
use tch::Device;

/// All tasks. The first is the default.
pub const TASKS: &[&dyn TaskKind] = &[&Detection, &Segmentation];

/// Reads a task network from a file that a task training or a search wrote, or from an original checkpoint with its class names.
///
/// # Errors
/// When the file cannot be read, describes no task network, or its tensors do not fit the description.
pub fn open_task(path: &Path, device: Device) -> Result<Box<dyn Trained>, SearchError> {
    let mut weights = read_weights(path)?;
    if !weights.metadata().contains_key(NETWORK_KEY) {
        // A file of another program: its tensors tell which network it is.
        let file = TaskFile::of(weights, path)?;
        weights = file.weights;
        Metadata::of_network(&file.network).write_to(&mut weights);
    }
    for kind in TASKS {
        if let Some(found) = kind.open(&weights, path, device)? {
            return Ok(found);
        }
    }
    let found = weights.metadata().get(NETWORK_KEY).map_or("none", String::as_str);
    let what = format!("expected a task network, found metadata `{NETWORK_KEY}` = `{found}`");
    Err(SearchError::TaskFile { path: path.to_owned(), what })
}
