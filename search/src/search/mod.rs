//! Algorithm 1 of the paper: the task network, the fusion network and β take turns.

mod beta_file;
mod config;
mod record;
mod run;
mod session;
mod step;

pub use beta_file::{BetaFile, Origin};
pub(crate) use config::require;
pub use config::{
    BetaSettings, DataSettings, DecayEvery, FusionSettings, SearchConfig, TaskSettings, UnrolledSettings,
};
pub use record::Record;
pub use run::{Finished, run};
