//! `caf-export`: weight files to ONNX, and the check of what was written.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use caf_export::ExportError;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    caf_console::start_log();
    let arguments = cli::Arguments::parse();
    caf_console::exit_code(cli::run(&arguments), |e| e.downcast_ref().is_some_and(ExportError::is_wrong_call))
}
