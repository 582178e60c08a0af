//! Stopping on request.

use crate::exit::INTERRUPTED;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// A request to stop, shared between a signal handler and a loop. Loops look after every step, save, and return.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// The flag that Ctrl-C or a termination signal raises, one for the whole process; a second signal ends the program at
    /// once.
    ///
    /// # Errors
    /// When somebody else's handler is installed already.
    pub fn on_signals() -> Result<Self, ctrlc::Error> {
        static FLAG: OnceLock<StopFlag> = OnceLock::new();
        if let Some(flag) = FLAG.get() {
            return Ok(flag.clone());
        }
        let flag = StopFlag::default();
        let raised = flag.clone();
        ctrlc::set_handler(move || {
            if raised.0.swap(true, Ordering::SeqCst) {
                std::process::exit(INTERRUPTED.into());
            }
            crate::say!("stopping properly; once more to stop at once");
        })?;
        Ok(FLAG.get_or_init(|| flag).clone())
    }

    /// Asks the loop to stop.
    pub fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_copies_are_one_flag() {
        let (flag, other) = (StopFlag::default(), StopFlag::default());
        flag.clone().raise();
        assert!(flag.is_raised() && !other.is_raised());
    }
}
