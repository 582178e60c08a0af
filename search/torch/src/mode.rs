//! What a run of a graph is for.

use crate::draws::mixed;

/// How normalisations and dropout behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Running statistics; nothing is dropped.
    Eval,
    /// Statistics of the batch; running statistics neither used nor changed; nothing is dropped. For evaluations that must leave
    /// no trace, such as those of the β step.
    BatchStatistics,
    /// Statistics of the batch; running statistics move in place; dropout drops.
    Train {
        /// What is dropped follows from this number alone: another one for every iteration, the same one when an iteration is
        /// repeated. See [`Mode::train`].
        seed: u64,
    },
}

impl Mode {
    /// Training in one iteration of a run with a seed: a function of the two, so that a resumed run drops what an undisturbed one
    /// would have dropped.
    pub fn train(seed: u64, iteration: u64) -> Mode {
        Mode::Train { seed: mixed([seed, iteration]) }
    }
}
