//! What each task asks of a model: how its network sees the image, and what the contract says of its result.

use super::files::TaskFile;
use crate::error::ExportError;
use caf_contract::{
    DetectionContract, IGNORED_LABEL, OUTPUT_CLASS_MAP, OUTPUT_PREDICTIONS, SegmentationContract, TaskContract,
};
use caf_geometry::Size;
use caf_net::zoo::task::Task;

/// The size that the network sees images fitted into, `asked` or that of its training; none where it sees each at its own.
///
/// # Errors
/// [`ExportError::Settings`] for a size that the network or the task does not take.
pub(super) fn letterbox(file: &TaskFile, asked: Option<Size>) -> Result<Option<Size>, ExportError> {
    let sides = file.network().sides();
    match (file.network().task(), asked) {
        (Task::Detection, asked) => {
            let size = asked.unwrap_or(file.image_size());
            if size.wh().into_iter().all(|side| sides.allow(side)) {
                return Ok(Some(size));
            }
            let what = format!("the detector's width and height: expected {sides}, found {size}");
            Err(ExportError::settings(what))
        }
        (Task::Segmentation, None) => Ok(None),
        (Task::Segmentation, Some(_)) => {
            Err(ExportError::settings("a segmentation sees every image at its own size: leave --task-size out"))
        }
    }
}

/// What the contract says of a network that sees images fitted into `letterbox`, if that is a size.
pub(super) fn contract(file: &TaskFile, letterbox: Option<Size>) -> TaskContract {
    let classes = file.classes().to_vec();
    match file.network().task() {
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
