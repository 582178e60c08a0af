//! Algorithm 1 of the paper: the task network, the fusion network and β take turns.

mod beta_file;
mod config;
mod record;
mod run;
mod session;
mod step;

pub use beta_file::{BetaFile, Origin};
pub use config::{
    BetaSettings, DataSettings, DecayEvery, FusionSettings, Method, SearchConfig, TaskSettings, UnrolledSettings,
};
pub(crate) use config::{MAX_BATCH, MAX_COUNT, MAX_SIDE_PX, require, require_extent};
pub use record::Record;
pub use run::{Finished, run};
