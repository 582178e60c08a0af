//! Long work that tells how far it is and can be stopped.

use crate::error::ExportError;
use caf_console::{Progress, StopFlag};

/// Who is told how far work is, and who may stop it.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Is told.
    pub progress: &'a dyn Progress,
    /// Asks for the end.
    pub stop: &'a StopFlag,
}

impl Watch<'_> {
    /// `done` steps are done.
    ///
    /// # Errors
    /// As [`Watch::check`].
    pub(super) fn advance(&self, done: u64, state: &str) -> Result<(), ExportError> {
        self.progress.advance(done, state);
        self.check()
    }

    /// Whether the work may go on.
    ///
    /// # Errors
    /// [`ExportError::Interrupted`] when somebody asked for its end.
    pub fn check(&self) -> Result<(), ExportError> {
        if self.stop.is_raised() {
            self.progress.end();
            return Err(ExportError::Interrupted);
        }
        Ok(())
    }
}
