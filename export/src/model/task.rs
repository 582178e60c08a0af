//! Task networks as stages of a model: how each sees the image.

use super::files::TaskFile;
use crate::error::ExportError;
use caf_geometry::Size;
use caf_net::zoo::pipeline::TaskStage;

/// The stages of task networks behind images of any size, in the order of their files.
///
/// # Errors
/// [`ExportError::Settings`] for two networks of one task, a size that a network does not take, and a size that nothing is fitted
/// into.
pub(super) fn stages(files: &[TaskFile], asked: Option<Size>) -> Result<Vec<TaskStage>, ExportError> {
    let mut stages: Vec<TaskStage> = Vec::with_capacity(files.len());
    for file in files {
        let network = file.part().network().clone();
        let task = network.task();
        if stages.iter().any(|stage| stage.network.task() == task) {
            let what = format!("expected at most one network a task, found two for {}", task.name);
            return Err(ExportError::settings(what));
        }
        let letterbox = if task.is_fitted { Some(letterbox(file, asked)?) } else { None };
        stages.push(TaskStage { network, letterbox });
    }
    if asked.is_some() && !stages.is_empty() && stages.iter().all(|stage| stage.letterbox.is_none()) {
        return Err(ExportError::settings("every image is seen at its own size: leave --task-size out"));
    }
    Ok(stages)
}

/// The size that a network sees images fitted into, `asked` or that of its training.
fn letterbox(file: &TaskFile, asked: Option<Size>) -> Result<Size, ExportError> {
    let network = file.part().network();
    let (size, sides) = (asked.unwrap_or(file.image_size()), network.sides());
    if size.wh().into_iter().all(|side| sides.allow(side)) {
        return Ok(size);
    }
    let task = network.task().name;
    let what =
        format!("width and height of the images that the network for {task} sees: expected {sides}, found {size}");
    Err(ExportError::settings(what))
}
