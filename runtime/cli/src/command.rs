//! The command line of `caf-run`.

use std::process::ExitCode;

use caf_bundle::BundleError;
use caf_console::{exit_code, start_log};
use caf_runtime::error::RuntimeError;
use clap::{Parser, Subcommand};

use super::{check, fuse, live};

/// Fuses infrared and visible images with an exported model: folders, or two live cameras.
#[derive(Debug, Parser)]
#[command(name = "caf-run", version, about, after_help = caf_console::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Fuse(fuse::FuseArgs),
    Live(Box<live::LiveArgs>),
    Check(check::CheckArgs),
}

/// Runs the program and gives its exit code: [`exit_code`].
#[must_use]
pub fn run() -> ExitCode {
    start_log();
    let done = match Cli::parse().command {
        Command::Fuse(args) => args.run(),
        Command::Live(args) => args.run(),
        Command::Check(args) => args.run(),
    };
    exit_code(done, is_wrong_call)
}

fn is_wrong_call(error: &anyhow::Error) -> bool {
    error.downcast_ref::<RuntimeError>().is_some_and(RuntimeError::is_wrong_call)
        || error.downcast_ref::<BundleError>().is_some_and(BundleError::is_wrong_call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent_and_every_subcommand_has_an_example() {
        Cli::command().debug_assert();
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("caf-run "), "{} has no example", command.get_name());
            assert!(help.lines().all(|l| l.chars().count() <= 80), "{help}");
        }
    }
}
