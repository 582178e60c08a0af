//! The command line.

mod bench;
mod bundle;
mod compared;
mod gate;
mod onnx;
mod parse;
mod rebuild;
mod reduce;
mod verify;
mod verify_bundle;
mod weights;

use caf_console::{Interrupted, say};
use caf_export::ExportError;
use clap::{Parser, Subcommand};

/// Turns trained weights into ONNX files that carry their contract and into bundles, and checks such files.
#[derive(Debug, Parser)]
#[command(name = "caf-export", version, after_help = caf_console::EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes a fusion network, task networks or both in one graph as an ONNX file.
    Onnx(Box<onnx::OnnxArguments>),
    /// Puts a model and all that belongs to it into the one folder that a vehicle gets.
    Bundle(Box<bundle::BundleArguments>),
    /// Checks an ONNX file (contract, shapes, a run, and where the weights are given their hashes and values), or a bundle.
    Verify(verify::VerifyArguments),
    /// Measures what a model of less precision loses against fp32 on held-out pairs, and refuses it when that is too much.
    Gate(gate::GateArguments),
    /// Times models in turn.
    Bench(bench::BenchArguments),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let done = match &arguments.command {
        Command::Onnx(arguments) => onnx::run(arguments),
        Command::Bundle(arguments) => bundle::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Gate(arguments) => gate::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
    };
    done.map_err(|error| {
        if matches!(error.downcast_ref(), Some(ExportError::Interrupted)) {
            say!("{error}");
            return Interrupted.into();
        }
        error
    })
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
            assert!(help.contains("caf-export ") && help.lines().all(|l| l.chars().count() <= 80), "{help}");
        }
    }
}
