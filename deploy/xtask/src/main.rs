//! `cargo xtask`: the commands that set a machine up, prove the workspace and show it.
//!
//! This is the only program of the workspace that downloads anything; no build script does.

mod cli;
mod demo;
mod links;
mod outcome;
mod process;
mod repo;
mod report;
mod setup;
mod test;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::run(&cli::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(match error {
                error if error.is::<outcome::WrongCall>() => 2,
                error if error.is::<outcome::Stopped>() => 130,
                _ => 1,
            })
        }
    }
}
