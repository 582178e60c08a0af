//! What can go wrong with a plot or a page.

use std::path::{Path, PathBuf};

/// A plot or page that is not made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `create folder`.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// A log that is empty, damaged or of another program.
    #[error("{}: {message}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        message: String,
    },
    /// Values that cannot be drawn.
    #[error("cannot draw {}: {message}", path.display())]
    Plot {
        /// The picture.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// A folder that holds no run, or another kind of run than was asked for.
    #[error("{}: expected {expected}, found {found}", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
}

impl ReportError {
    /// Whether what was asked for is wrong, rather than a file or a disk: a folder that holds no such run.
    pub fn is_wrong_call(&self) -> bool {
        matches!(self, ReportError::NotARun { .. })
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ReportError {
        let path = path.to_owned();
        move |source| ReportError::Io { action, path, source }
    }
}
