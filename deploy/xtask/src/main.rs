//! `cargo xtask`: the commands that set a machine up, prove the workspace and show it.
//!
//! This is the only program of the workspace that downloads anything; no build script does.

mod cli;
mod demo;
mod fuse;
mod links;
mod process;
mod repo;
mod report;
mod setup;
mod test;
mod vivid;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    caf_console::exit_code(cli::run(&cli::Arguments::parse()), |_| false)
}
