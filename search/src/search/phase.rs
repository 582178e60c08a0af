//! Time and work of the parts of an iteration.

use caf_torch::{Work, counted};
use std::time::{Duration, Instant};

/// What a part took.
#[derive(Clone, Debug, Default)]
pub(super) struct Phase {
    pub time: Duration,
    pub work: Work,
}

impl Phase {
    /// Does a part and measures it. What it left for a GPU to do counts as done when the part reads a result back, which all do.
    pub fn of<T>(part: impl FnOnce() -> T) -> (T, Phase) {
        let begin = Instant::now();
        let (done, work) = counted(part);
        (done, Phase { time: begin.elapsed(), work })
    }
}
