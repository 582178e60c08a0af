//! Stopping a run in the middle.

use caf_console::{Progress, StopFlag};

/// A listener that raises the flag once so many iterations are done.
#[derive(Debug)]
pub struct StopAfter<'a>(pub u64, pub &'a StopFlag);

impl Progress for StopAfter<'_> {
    fn begin(&self, _: &str, _: u64, _: u64) {}

    fn advance(&self, done: u64, _: &str) {
        if done == self.0 {
            self.1.raise();
        }
    }

    fn end(&self) {}

    fn say(&self, _: &str) {}
}
