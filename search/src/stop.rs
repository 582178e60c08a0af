//! Stopping on request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request to stop, shared between a signal handler and a loop. Loops look after every iteration, save, and return.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// A flag that Ctrl-C or a termination signal raises; a second signal ends the program at once.
    ///
    /// # Errors
    /// When another handler is installed already.
    pub fn on_signals() -> Result<Self, ctrlc::Error> {
        let flag = StopFlag::default();
        let raised = flag.clone();
        ctrlc::set_handler(move || {
            if raised.0.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            eprintln!("stopping after this iteration (again to stop at once)");
        })?;
        Ok(flag)
    }

    /// Asks the loop to stop.
    pub fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
