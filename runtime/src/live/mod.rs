//! A live run: two cameras in, fused and labelled images out.

mod config;
mod output;
mod run;
mod slot;
mod stages;
mod summary;

pub use config::{LiveConfig, LiveError, Progress};
pub use output::OutputFiles;
pub use run::run;
pub use slot::{Line, Slot, Stage, StageTimes};
pub use summary::{CameraSummary, EndedBy, PairSummary, StageSummary, Summary};
