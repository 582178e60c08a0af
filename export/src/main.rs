//! `caf-export`: weight files to ONNX, and the check of what was written.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    match cli::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            // Settings that make no model are a wrong call; everything else is work that failed.
            let wrong_call = error.downcast_ref::<caf_export::ModelError>();
            match wrong_call {
                Some(caf_export::ModelError::Settings(_)) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
