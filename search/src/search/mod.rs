//! Algorithm 1 of the paper: the task network, the fusion network and β take turns.

mod bench;
mod beta_file;
mod config;
mod halves;
mod preset;
mod run;
mod session;
mod signal;
mod step;

pub use bench::{BenchReport, BenchSettings, PhaseReport, bench};
pub use beta_file::{BetaFile, Origin};
pub use config::{
    BetaSettings, DecayEvery, Method, SearchConfig, StepSettings, TaskStatistics, UnrolledGradient, UnrolledSettings,
};
pub use preset::{PRESETS, Preset, preset};
pub use run::{Finished, run};
