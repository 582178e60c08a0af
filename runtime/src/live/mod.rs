//! A live run: two cameras in, fused and labelled images out.

mod config;
mod run;
mod stages;
mod summary;

pub use config::{LiveConfig, Progress, WhenLost};
pub use run::{Run, run};
pub use summary::{CameraSummary, EndedBy, PairSummary, StageSummary, Summary};
