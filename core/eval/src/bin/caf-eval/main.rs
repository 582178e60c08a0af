//! `caf-eval`: metrics of fused images, detections and class maps in folders, without libtorch.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod detection;
mod failure;
mod folder;
mod fusion;
mod label_file;
mod output;
mod segmentation;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Measures fused images, detections and class maps in folders.
#[derive(Parser)]
#[command(name = "caf-eval", version, after_help = caf_console::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Fusion(fusion::Args),
    Detection(detection::Args),
    Segmentation(segmentation::Args),
}

fn main() -> ExitCode {
    caf_console::start_log();
    let result = match Cli::parse().command {
        Command::Fusion(args) => fusion::run(&args),
        Command::Detection(args) => detection::run(&args),
        Command::Segmentation(args) => segmentation::run(&args),
    };
    let wrong_call = |e: &anyhow::Error| e.downcast_ref().is_some_and(Failure::is_wrong_call);
    caf_console::exit_code(result.map_err(anyhow::Error::new), wrong_call)
}
