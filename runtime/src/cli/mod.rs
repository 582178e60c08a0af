//! The command line of `caf-run`.

mod args;
mod check;
mod fuse;
mod live;

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

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
    let filter = tracing_subscriber::EnvFilter::try_from_env("CAF_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,ort=error"));
    // A second subscriber (in tests) is refused, and the first goes on.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    let done = match Cli::parse().command {
        Command::Fuse(args) => args.run(),
        Command::Live(args) => args.run(),
        Command::Check(args) => args.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", told_once(&error));
            ExitCode::from(if is_wrong_call(&error) { 2 } else { 1 })
        }
    }
}

/// The error and its causes, without those whose words an outer message holds already.
fn told_once(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        match text.as_str() {
            "" => cause,
            told if told.contains(&cause) => text,
            told => format!("{told}: {cause}"),
        }
    })
}

fn is_wrong_call(error: &anyhow::Error) -> bool {
    let live = error.downcast_ref::<LiveError>().is_some_and(LiveError::is_wrong_call);
    live || matches!(error.downcast_ref::<FuseError>(), Some(FuseError::NoDetector | FuseError::Detect(_)))
}

/// Writes a report for machines.
fn write_json(path: Option<&Path>, report: &impl serde::Serialize) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(report).context("the report cannot be put into JSON")?;
    caf_file::write(path, (text + "\n").as_bytes()).with_context(|| path.display().to_string())
}

/// Fails now when the report could not be written later.
fn claim(path: Option<&Path>) -> anyhow::Result<()> {
    path.map_or(Ok(()), |p| caf_file::begin(p).map(drop).with_context(|| p.display().to_string()))
}

/// A bar on a terminal, a line now and then elsewhere.
struct Reporter {
    bar: Option<ProgressBar>,
    last: Instant,
}

/// Time between lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

impl Reporter {
    /// With a total, a bar; without one, a spinner.
    fn new(total: Option<u64>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            let shape = if total.is_some() { "{bar:40} {pos}/{len} {msg} {eta}" } else { "{spinner} {msg}" };
            if let Ok(style) = ProgressStyle::with_template(shape) {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, last: Instant::now() }
    }

    fn show(&mut self, position: u64, last: bool, message: impl Fn() -> String) {
        match &self.bar {
            Some(bar) => {
                if bar.length().is_some() {
                    bar.set_position(position);
                }
                bar.set_message(message());
            }
            None if last || self.last.elapsed() >= LINE_EVERY => {
                self.last = Instant::now();
                eprintln!("{}", message());
            }
            None => {}
        }
    }

    fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
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
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let error = anyhow::Error::from(missing).context("a.onnx: no such file").context("the model");
        assert_eq!(told_once(&error), "the model: a.onnx: no such file");
    }
}
