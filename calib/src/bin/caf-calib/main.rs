//! `caf-calib`: where two cameras look, from their recordings.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod drift;
mod evaluate;
mod rig;
mod time;

use std::process::ExitCode;

use caf_calib::CalibError;
use clap::{Parser, Subcommand};

/// Finds where a visible and an infrared camera look, from their recordings and without a target.
#[derive(Debug, Parser)]
#[command(name = "caf-calib", version, after_help = caf_console::EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Rig(rig::RigArguments),
    Drift(drift::DriftArguments),
    Time(time::TimeArguments),
    Evaluate(evaluate::EvaluateArguments),
}

fn main() -> ExitCode {
    caf_console::start_log();
    let result = match &Arguments::parse().command {
        Command::Rig(arguments) => rig::run(arguments),
        Command::Drift(arguments) => drift::run(arguments),
        Command::Time(arguments) => time::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(arguments),
    };
    caf_console::exit_code(result, |e| e.downcast_ref().is_some_and(CalibError::is_wrong_call))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_subcommand_has_an_example_that_fits_a_terminal() {
        Arguments::command().debug_assert();
        for command in Arguments::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("caf-calib ") && help.lines().all(|l| l.chars().count() <= 80), "{help}");
        }
    }
}
