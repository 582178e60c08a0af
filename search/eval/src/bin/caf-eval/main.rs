//! `caf-eval`: fusion metrics and detection average precision of folders, without libtorch.

mod detection;
mod failure;
mod folder;
mod fusion;
mod label_file;
mod output;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures fused images and detections on folders.
///
/// Exit code 0: measured; 1: an input could not be read or does not fit; 2: the call is wrong.
#[derive(Parser)]
#[command(name = "caf-eval", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Fusion(fusion::Args),
    Detection(detection::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Fusion(args) => fusion::run(&args),
        Command::Detection(args) => detection::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = failure.exit_code();
            eprintln!("error: {:#}", anyhow::Error::new(failure));
            ExitCode::from(code)
        }
    }
}
