//! The command line of `caf-search`.

mod eval;
mod fuse;
mod import;
mod learning;
mod overrides;
mod pairs;
mod report;
mod scene;
mod search;
mod split;
mod train;

use anyhow::Result;
use caf_console::WrongCall;
use caf_data::DataError;
use caf_data::scene::SceneError;
use caf_detect::DetectError;
use caf_search::error::SearchError;
use caf_search::settings;
use caf_search::task::TaskError;
use caf_yolo::YoloError;
use clap::{Parser, Subcommand};
use std::path::Path;

/// Search, training and evaluation of infrared + visible fusion.
#[derive(Debug, Parser)]
#[command(
    name = "caf-search",
    version,
    about,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 the work failed, 2 the call is wrong."
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
    /// Split a data set into scene-disjoint lists, or check two lists for leaks.
    Split(split::Args),
    /// Search the weights of the fusion loss.
    Search(search::Args),
    /// Train a fusion network or a task network.
    #[command(subcommand)]
    Train(train::Command),
    /// Fuse the pairs of a data set into a folder.
    Fuse(fuse::Args),
    /// Measure fused images and detectors.
    Eval(eval::Args),
    /// Draw the plots of a run again.
    Report(report::Args),
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// When the work fails, or the call turns out to be wrong where clap could not see it: [`is_wrong_call`].
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Scene(args) => scene::run(&args),
            Command::Import(args) => import::run(&args),
            Command::Split(args) => split::run(&args),
            Command::Search(args) => search::run(&args),
            Command::Train(command) => train::run(&command),
            Command::Fuse(args) => fuse::run(&args),
            Command::Eval(args) => eval::run(&args),
            Command::Report(args) => report::run(&args),
        }
    }
}

/// Whether the call is wrong and not the work: options that do not go together, and settings out of their range.
pub fn is_wrong_call(error: &anyhow::Error) -> bool {
    let of_data = |e: &DataError| matches!(e, DataError::Setting { .. });
    let of_yolo = |e: &YoloError| matches!(e, YoloError::Setting { .. });
    let of_task = |e: &TaskError| match e {
        TaskError::Setting { .. } | TaskError::Detect(DetectError::Setting { .. }) => true,
        TaskError::Data(e) => of_data(e),
        TaskError::Yolo(e) => of_yolo(e),
        _ => false,
    };
    let of_search = |e: &SearchError| match e {
        SearchError::Setting { .. } | SearchError::Sources { .. } => true,
        SearchError::Config { path, .. } => path.as_path() == Path::new(settings::OVERRIDES),
        SearchError::Task(e) => of_task(e),
        SearchError::Data(e) => of_data(e),
        SearchError::Yolo(e) => of_yolo(e),
        _ => false,
    };
    error.downcast_ref().is_some_and(of_search)
        || error.downcast_ref().is_some_and(of_task)
        || error.downcast_ref().is_some_and(of_data)
        || error.downcast_ref().is_some_and(|e| matches!(e, SceneError::Setting { .. } | SceneError::Size { .. }))
}
