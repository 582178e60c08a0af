//! What can go wrong between ranks.

/// An error of this crate.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RanksError {
    /// The environment names no place in a group, or an impossible one.
    #[error("environment variable {variable}: expected {expected}, found {found}")]
    Address {
        /// The variable.
        variable: &'static str,
        /// What belongs there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The group could not be formed.
    #[error("rank {rank} of {size} cannot join the others at {place}: {why}")]
    Join {
        /// This rank.
        rank: usize,
        /// Ranks there should be.
        size: usize,
        /// Host and port of rank 0.
        place: String,
        /// What libtorch or the operating system said.
        why: String,
    },
    /// A rank is gone, and with it the group.
    #[error("{what}; all other ranks end too, and the same call goes on from the saved state")]
    Gone {
        /// Which rank, and what is known of its end.
        what: String,
    },
    /// Ranks that are not parts of the same run.
    #[error("rank {rank} of {size}: {what} must be that of rank 0: expected {expected}, found {found}")]
    Differs {
        /// This rank.
        rank: usize,
        /// Ranks there are.
        size: usize,
        /// What differs.
        what: String,
        /// What rank 0 has.
        expected: String,
        /// What this rank has.
        found: String,
    },
    /// c10d refused.
    #[error("c10d says: {0}")]
    Engine(String),
}

impl RanksError {
    /// Whether the call is wrong and not the work: an environment that names no place in a group.
    pub fn is_wrong_call(&self) -> bool {
        matches!(self, RanksError::Address { .. })
    }
}

/// Sums of tensors are ops like all others to those who take them.
impl From<RanksError> for tch::TchError {
    fn from(error: RanksError) -> Self {
        tch::TchError::Torch(error.to_string())
    }
}
