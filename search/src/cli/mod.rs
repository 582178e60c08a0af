//! The command line of `caf-search`.

mod ablate;
mod bench;
mod compare;
mod eval;
mod fuse;
mod import;
mod learning;
mod networks;
mod overrides;
mod pairs;
mod report;
mod run;
mod scene;
mod search;
mod split;
mod train;

use anyhow::Result;
use caf_console::{Interrupted, WrongCall, say};
use caf_data::DataError;
use caf_ranks::RanksError;
use caf_report::ReportError;
use caf_scene::SceneError;
use caf_search::error::SearchError;
use caf_torch::TorchError;
use caf_weights::WeightsError;
use clap::{Parser, Subcommand};

/// Search, training and evaluation of infrared + visible fusion.
#[derive(Debug, Parser)]
#[command(
    name = "caf-search",
    version,
    about,
    arg_required_else_help = true,
    after_help = caf_console::EXIT_CODES
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Render synthetic labelled pairs, or a two-camera clip.
    Scene(scene::Args),
    /// Read an original checkpoint (.pth, .pt) without executing it; write safetensors.
    Import(import::Args),
    /// List the networks: what each is for, its settings and sizes.
    Networks(networks::Args),
    /// Split a data set into scene-disjoint lists, or check two lists for leaks.
    Split(split::Args),
    /// Search, train both networks with what it finds and measure them: the whole method in one resumable folder.
    Run(run::Args),
    /// Search the weights of the fusion loss.
    Search(search::Args),
    /// Measure what an iteration of a search costs, on random images.
    Bench(bench::Args),
    /// Train a fusion network or a task network.
    #[command(subcommand)]
    Train(train::Command),
    /// Fuse the pairs of a data set into a folder.
    Fuse(fuse::Args),
    /// Measure fused images and task networks.
    Eval(eval::Args),
    /// Compare methods of fusing on one set of pairs: images, metrics, ranks, times and one page.
    Compare(compare::Args),
    /// Compare methods of fusing over seeds: one resumable command for a whole table.
    Ablate(ablate::Args),
    /// Plots and one page of a run, also while it goes on; several searches side by side.
    Report(report::Args),
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// When the work fails or is [`Interrupted`], or the call turns out to be wrong where clap could not see it: [`is_wrong_call`].
    pub fn run(self) -> Result<()> {
        let done = match self.command {
            Command::Scene(args) => scene::run(&args),
            Command::Import(args) => import::run(&args),
            Command::Networks(args) => networks::run(&args),
            Command::Split(args) => split::run(&args),
            Command::Run(args) => run::run(&args),
            Command::Search(args) => search::run(&args),
            Command::Bench(args) => bench::run(&args),
            Command::Train(command) => train::run(&command),
            Command::Fuse(args) => fuse::run(&args),
            Command::Eval(args) => eval::run(&args),
            Command::Compare(args) => compare::run(&args),
            Command::Ablate(args) => ablate::run(&args),
            Command::Report(args) => report::run(&args),
        };
        // A stop is agreed on: all ranks end by it.
        let failure = done.as_ref().err().filter(|error| !error.is::<Interrupted>());
        caf_ranks::leave(failure.map(|error| format!("{error:#}")).as_deref());
        done.map_err(|error| {
            if matches!(error.downcast_ref(), Some(SearchError::Interrupted)) {
                say!("{error}");
                return Interrupted.into();
            }
            error
        })
    }
}

/// Whether the call is wrong and not the work: options that do not go together, settings out of their range, unknown devices.
pub fn is_wrong_call(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(SearchError::is_wrong_call)
        || error.downcast_ref().is_some_and(ReportError::is_wrong_call)
        || error.downcast_ref().is_some_and(WeightsError::is_wrong_call)
        || error.downcast_ref().is_some_and(DataError::is_wrong_call)
        || error.downcast_ref().is_some_and(TorchError::is_wrong_call)
        || error.downcast_ref().is_some_and(SceneError::is_wrong_call)
        || error.downcast_ref().is_some_and(RanksError::is_wrong_call)
}
