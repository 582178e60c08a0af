//! All tasks.

use super::detection::Detection;
use super::segmentation::Segmentation;
use super::start::NETWORK_KEY;
use super::task::{TaskKind, Trained};
use crate::error::SearchError;
use crate::weight_file::read_weights;
use std::path::Path;
use tch::Device;

/// All tasks. The first is the default.
pub const TASKS: &[&dyn TaskKind] = &[&Detection, &Segmentation];

/// Reads a task network from a file that a task training or a search wrote.
///
/// # Errors
/// When the file cannot be read, describes no task network, or its tensors do not fit the description.
pub fn open_task(path: &Path, device: Device) -> Result<Box<dyn Trained>, SearchError> {
    let weights = read_weights(path)?;
    for kind in TASKS {
        if let Some(found) = kind.open(&weights, path, device)? {
            return Ok(found);
        }
    }
    let what = match weights.metadata().get(NETWORK_KEY) {
        Some(found) => format!("expected a task network, found metadata `{NETWORK_KEY}` = `{found}`"),
        None => {
            format!("expected metadata `{NETWORK_KEY}` of a task network, found none: not written by a task training")
        }
    };
    Err(SearchError::TaskFile { path: path.to_owned(), what })
}
