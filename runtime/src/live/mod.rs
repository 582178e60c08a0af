//! A live run: two cameras in, fused and labelled images out.

mod config;
mod drift;
pub mod matcher;
pub mod picture;
mod plumbing;
mod run;
#[cfg(test)]
mod simulation;
mod stages;
mod summary;

pub use config::{LiveConfig, Progress, WhenLost};
pub use run::{Run, run};
pub use summary::{Account, AloneSummary, CameraSummary, EndedBy, PairSummary, StageSummary, Summary};
