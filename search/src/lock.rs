//! One run at a time in a result folder.

use crate::error::SearchError;
use caf_console::Progress;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

/// The file whose lock says that a run is at work in its folder. It stays when the run ends: a file that is removed could be
/// locked by one run and made anew by another.
pub const LOCK: &str = "run.lock";

/// The right to write into a result folder. The operating system takes it back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: Option<File>,
}

impl FolderLock {
    /// Takes the lock of a folder; none when the folder does not exist yet.
    ///
    /// # Errors
    /// [`SearchError::InUse`] when another run has it; when the file cannot be made.
    pub fn take(folder: &Path, progress: &dyn Progress) -> Result<Option<Self>, SearchError> {
        if !folder.is_dir() {
            return Ok(None);
        }
        let path = folder.join(LOCK);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(SearchError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(FolderLock { _file: Some(file) })),
            Err(TryLockError::WouldBlock) => Err(SearchError::InUse { path: folder.to_owned() }),
            Err(TryLockError::Error(error)) => {
                progress.say(&format!(
                    "{}: cannot be locked ({error}): a second run in this folder would not be noticed",
                    path.display()
                ));
                Ok(Some(FolderLock { _file: None }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_console::Silent;

    #[test]
    fn a_folder_belongs_to_one_run_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        assert!(FolderLock::take(&folder.path().join("absent"), &Silent).unwrap().is_none());
        let first = FolderLock::take(folder.path(), &Silent).unwrap();
        let error = FolderLock::take(folder.path(), &Silent).unwrap_err();
        assert!(matches!(error, SearchError::InUse { .. }) && error.to_string().contains("in use"), "{error}");
        drop(first);
        assert!(FolderLock::take(folder.path(), &Silent).unwrap().is_some());
    }
}
