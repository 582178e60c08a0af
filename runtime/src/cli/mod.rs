//! The command line of `caf-run`.

mod args;
mod check;
mod fuse;
mod live;

use std::process::ExitCode;

use caf_console::{exit_code, start_log};
use clap::{Parser, Subcommand};

use crate::fuse::FuseError;
use crate::live::LiveError;

/// Fuses infrared and visible images with an exported model: folders, or two live cameras.
#[derive(Debug, Parser)]
#[command(name = "caf-run", version, about, after_help = "Exit codes: 0 done, 1 the work failed, 2 the call is wrong.")]
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

/// Runs the program: 0 when the work is done, 1 when it failed, 2 when the call is wrong.
#[must_use]
pub fn main() -> ExitCode {
    start_log();
    let done = match Cli::parse().command {
        Command::Fuse(args) => args.run(),
        Command::Live(args) => args.run(),
        Command::Check(args) => args.run(),
    };
    exit_code(done, is_wrong_call)
}

fn is_wrong_call(error: &anyhow::Error) -> bool {
    let live = error.downcast_ref::<LiveError>().is_some_and(LiveError::is_wrong_call);
    live || error.downcast_ref::<FuseError>().is_some_and(FuseError::is_wrong_call)
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
