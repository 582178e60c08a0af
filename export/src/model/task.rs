//! What each task asks of a model: how its network sees the image, and what the contract says of its result.

use super::files::TaskFile;
use crate::error::ExportError;
use caf_contract::{
    DetectionContract, IGNORED_LABEL, OUTPUT_CLASS_MAP, OUTPUT_PREDICTIONS, SegmentationContract, TaskContract,
};
use caf_geometry::Size;
use caf_net::zoo::pipeline::TaskStage;
use caf_net::zoo::task::Task;

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
            let what = format!("expected at most one network a task, found two for {}", task.name());
            return Err(ExportError::settings(what));
        }
        stages.push(TaskStage { network, letterbox: letterbox(file, asked)? });
    }
    if asked.is_some() && !stages.is_empty() && stages.iter().all(|stage| stage.letterbox.is_none()) {
        return Err(ExportError::settings("every image is seen at its own size: leave --task-size out"));
    }
    Ok(stages)
}

/// The size that a network sees images fitted into, `asked` or that of its training; none where it sees each at its own.
fn letterbox(file: &TaskFile, asked: Option<Size>) -> Result<Option<Size>, ExportError> {
    match file.part().network().task() {
        Task::Detection => {
            let (size, sides) = (asked.unwrap_or(file.image_size()), file.part().network().sides());
            if size.wh().into_iter().all(|side| sides.allow(side)) {
                return Ok(Some(size));
            }
            let what = format!("the detector's width and height: expected {sides}, found {size}");
            Err(ExportError::settings(what))
        }
        Task::Segmentation => Ok(None),
    }
}

/// What the contract says of a network that sees images fitted into `letterbox`, if that is a size.
pub(super) fn contract(file: &TaskFile, letterbox: Option<Size>) -> TaskContract {
    let classes = file.classes().to_vec();
    match file.part().network().task() {
        Task::Detection => TaskContract::Detection(DetectionContract {
            output: OUTPUT_PREDICTIONS.to_owned(),
            classes,
            input: letterbox.unwrap_or(file.image_size()),
        }),
        Task::Segmentation => TaskContract::Segmentation(SegmentationContract {
            output: OUTPUT_CLASS_MAP.to_owned(),
            classes,
            ignored_label: Some(IGNORED_LABEL),
            palette: None,
        }),
    }
}
