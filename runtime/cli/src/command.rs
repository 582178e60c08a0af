//! The command line of `caf-run`.

use std::ffi::OsString;
use std::process::ExitCode;

use caf_bundle::BundleError;
use caf_console::{exit_code, print, start_log};
use caf_runtime::error::RuntimeError;
use clap::{Args as _, Parser, Subcommand};

use super::{check, config, fuse, live};

/// The command whose options are also the keys of a file.
const LIVE: &str = "live";

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
    let typed: Vec<OsString> = std::env::args_os().collect();
    let done = match typed.get(1) {
        Some(name) if name == LIVE => run_live(&typed),
        _ => match Cli::parse_from(&typed).command {
            Command::Fuse(args) => args.run(),
            Command::Live(args) => args.run(),
            Command::Check(args) => args.run(),
        },
    };
    exit_code(done, is_wrong_call)
}

/// `live`, whose options are also the keys of a file.
fn run_live(typed: &[OsString]) -> anyhow::Result<()> {
    let options = live::LiveArgs::augment_args(clap::Command::new(LIVE));
    let (call, options_typed) = typed.split_at(2);
    let words = config::with_file(&options, options_typed)?;
    if words.iter().any(|word| word == "--print-config") {
        let matches = config::undemanding(&options).no_binary_name(true).get_matches_from(words);
        return Ok(print(&config::text(&options, &matches))?);
    }
    match Cli::parse_from(call.iter().chain(&words)).command {
        Command::Live(args) => args.run(),
        // The name was looked at.
        Command::Fuse(_) | Command::Check(_) => anyhow::bail!("not `{LIVE}`"),
    }
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
