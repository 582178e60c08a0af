//! All tasks.

use super::detection::Detection;
use super::segmentation::Segmentation;
use super::task::{TaskKind, Trained};
use crate::error::SearchError;
use crate::weight_file::tell_notes;
use caf_weights::TaskFile;
use std::path::Path;
use tch::Device;

/// All tasks. The first is the default.
pub const TASKS: &[&dyn TaskKind] = &[&Detection, &Segmentation];

/// Reads a task network: what a task training or a search wrote, or an original checkpoint, which is recognised by its tensors.
///
/// # Errors
/// When the file cannot be read, holds no task network, or its tensors do not fit what it says.
pub fn open_task(path: &Path, device: Device) -> Result<Box<dyn Trained>, SearchError> {
    let file = TaskFile::open(path)?;
    tell_notes(path, &file.notes);
    for kind in TASKS {
        if let Some(found) = kind.open(&file, device)? {
            return Ok(found);
        }
    }
    let what = format!("holds a network of kind `{}`, which no task here measures", file.network.kind());
    Err(SearchError::TaskFile { path: path.to_owned(), what })
}
