//! `caf-export`: weight files to ONNX, and the check of what was written.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use caf_engine::EngineError;
use caf_export::ExportError;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    caf_console::start_log();
    let arguments = cli::Arguments::parse();
    caf_console::exit_code(cli::run(&arguments), is_wrong_call)
}

/// A model that is read for a check or a measurement fails with the engine's own error, all else with this crate's.
fn is_wrong_call(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(ExportError::is_wrong_call)
        || error.downcast_ref().is_some_and(EngineError::is_wrong_call)
}
