//! The frozen task network that a study trains itself.

use super::folder::{data, files, wait_for};
use super::parts::{FrozenSettings, TaskPart};
use super::stage::{fuse, remove_folder, resumable};
use super::study::Study;
use crate::error::SearchError;
use crate::file::make_folder;
use crate::fusion::Method;
use crate::loader::ImageSource;
use crate::task_training::{self, files as task_files};
use caf_console::{Progress, StopFlag};
use std::path::{Path, PathBuf};
use tch::Device;

/// Folder of its training.
const WORK: &str = "frozen";

/// The network's file; it is trained when it is not there. Another process that trains it is waited for.
///
/// # Errors
/// [`SearchError::Interrupted`] when asked to stop, and those of fusing and training.
pub(super) fn trained(
    folder: &Path,
    study: &Study,
    part: &TaskPart,
    device: Device,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<PathBuf, SearchError> {
    let (result, work) = (folder.join(files::FROZEN), folder.join(WORK));
    if result.exists() {
        return Ok(result);
    }
    let lock = wait_for(&work, progress, stop)?;
    if !result.exists() {
        let FrozenSettings { seed, .. } = study.p1;
        let (images, out) = (work.join("images"), work.join("task"));
        let data = data(study, folder);
        for list in [&data.train, &data.val] {
            let pairs = data.open(list.as_deref(), None)?;
            let kinds = study.p1.kinds();
            for (turn, kind) in kinds.iter().enumerate() {
                let names: Vec<String> = pairs.names().skip(turn).step_by(kinds.len()).map(str::to_owned).collect();
                if !names.is_empty() {
                    let (part, made) = (pairs.part(&names)?, work.join(kind.name));
                    fuse(&part, &Method::Rule(*kind), data.colour, &made, device, progress, stop)?;
                    mix(&names, &made, &images)?;
                }
            }
        }
        let config = study.task_config(part, ImageSource::Folder(images), seed.unwrap_or(1), data);
        let done = resumable(&out, progress, || task_training::train(&config, &out, progress, stop))?;
        if done.interrupted {
            return Err(SearchError::Interrupted);
        }
        std::fs::rename(out.join(task_files::LAST), &result).map_err(SearchError::io("write", &result))?;
    }
    drop(lock);
    remove_folder(&work)?;
    Ok(result)
}

/// Copies images of one kind to those of the others.
fn mix(names: &[String], made: &Path, images: &Path) -> Result<(), SearchError> {
    make_folder(images)?;
    for file in names.iter().map(|name| format!("{name}.png")) {
        let to = images.join(&file);
        std::fs::copy(made.join(file), &to).map_err(SearchError::io("write", &to))?;
    }
    Ok(())
}
