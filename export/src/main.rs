//! `caf-export`: weight files to ONNX, and the check of what was written.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use caf_export::ModelError;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    caf_console::start_log();
    let arguments = cli::Arguments::parse();
    // Settings that make no model are a wrong call; everything else is work that failed.
    caf_console::exit_code(cli::run(&arguments), |e| {
        matches!(e.downcast_ref(), Some(ModelError::Settings(_) | ModelError::Contract(_)))
    })
}
