//! `caf-search`: search, training and evaluation of infrared + visible fusion.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    caf_torch::keep_freed_memory();
    caf_console::start_log();
    caf_console::exit_code(cli::Cli::parse().run(), cli::is_wrong_call)
}
