//! The folder of a study: what lies where, and who may write.

use super::parts::SceneSettings;
use super::study::Study;
use crate::error::SearchError;
use crate::file::make_folder;
use crate::lock::FolderLock;
use crate::run_settings::DataSettings;
use caf_console::{Progress, StopFlag};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// Names in the folder of a study.
pub mod files {
    /// The resolved settings.
    pub const STUDY: &str = "study.toml";
    /// What the rows rest on, for the comparison with a later call.
    pub const IDENTITY: &str = "study.json";
    /// A row for every job that is done.
    pub const ROWS: &str = "rows.csv";
    /// Rendered pairs.
    pub const SCENES: &str = "scenes";
    /// The frozen task network, where the study trains it.
    pub const FROZEN: &str = "frozen.safetensors";
    /// Folders of methods: losses and networks that are kept, and the work in progress.
    pub const CELLS: &str = "cells";
}

/// Time between two looks at a lock that another process has.
const POLL: Duration = Duration::from_millis(100);

/// Waits for the right to write what all jobs share.
///
/// # Errors
/// [`SearchError::Interrupted`] when asked to stop meanwhile; when the folder cannot be made.
pub(super) fn wait_for(
    folder: &Path,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<Option<FolderLock>, SearchError> {
    make_folder(folder)?;
    loop {
        match FolderLock::take(folder, progress) {
            Err(SearchError::InUse { .. }) if stop.is_raised() => return Err(SearchError::Interrupted),
            Err(SearchError::InUse { .. }) => sleep(POLL),
            taken => return taken,
        }
    }
}

/// The data of a study, which may be its own.
pub(super) fn data(study: &Study, folder: &Path) -> DataSettings {
    match study.scenes {
        Some(_) => DataSettings { root: folder.join(files::SCENES), ..study.data.clone() },
        None => study.data.clone(),
    }
}

/// Renders the pairs of a study that has its own. Only the owner of the study's lock may call this.
///
/// # Errors
/// Those of rendering.
pub(super) fn render(folder: &Path, study: &Study, progress: &dyn Progress) -> Result<(), SearchError> {
    study.scenes.as_ref().map_or(Ok(()), |scenes| render_scenes(&folder.join(files::SCENES), scenes, progress))
}

/// Renders pairs into a folder, unless it is there.
///
/// # Errors
/// Those of rendering.
pub(crate) fn render_scenes(root: &Path, scenes: &SceneSettings, progress: &dyn Progress) -> Result<(), SearchError> {
    // The folder appears complete or not at all.
    if !root.exists() {
        progress.say(&format!("rendering {} pairs into {}", scenes.count, root.display()));
        caf_scene::write_dataset(root, &scenes.spec(), &|_| {})?;
    }
    Ok(())
}
