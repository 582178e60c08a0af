//! The command line of `caf-search`.

mod eval;
mod fuse;
mod import;
mod overrides;
mod report;
mod scene;
mod search;
mod split;
mod train;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Search, training and evaluation of infrared + visible fusion.
#[derive(Debug, Parser)]
#[command(name = "caf-search", version, about, arg_required_else_help = true)]
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
    /// When the work fails; a wrong call ends the program in clap.
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

/// `WIDTHxHEIGHT` in pixels.
fn size(text: &str) -> Result<[usize; 2], String> {
    let parse = |s: &str| s.trim().parse::<usize>().ok().filter(|n| *n > 0);
    text.split_once(['x', '×'])
        .and_then(|(w, h)| Some([parse(w)?, parse(h)?]))
        .ok_or_else(|| format!("expected WIDTHxHEIGHT such as 640x480, found `{text}`"))
}
