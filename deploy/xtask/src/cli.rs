//! The command line: what can be called, and with what.

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::repo::Repo;
use crate::setup::{self, Device, Scope};
use crate::{demo, fuse, links, test, vivid};

/// Sets the machine up, tests the workspace and shows what it does.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what is missing: GStreamer, libtorch, ONNX Runtime. A second run touches no network.
    #[command(after_help = "Examples:\n  cargo xtask setup\n  cargo xtask setup --check\n  \
        LIBTORCH=/opt/libtorch cargo xtask setup   # an existing libtorch wins over the download")]
    Setup(SetupArguments),
    /// Set up, then format, links, clippy, documentation and all tests.
    #[command(after_help = "Example:\n  cargo xtask test")]
    Test(TestArguments),
    /// Fail when a crate links what it must not, or files use each other in a circle.
    #[command(after_help = "Example:\n  cargo xtask check-links")]
    CheckLinks,
    /// Set up, build, and fuse one pair with the weights that come with this project: no data and no training.
    #[command(after_help = "Example:\n  cargo xtask fuse --ir infrared.png --vi visible.png --out fused.png")]
    Fuse(fuse::FuseArguments),
    /// Scenes, search, training, export and a live two-camera run, ending in a page of results.
    #[command(after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo --data ../pairs --full")]
    Demo(demo::DemoArguments),
    /// The cameras of Video4Linux against a real kernel in a virtual machine (qemu), with its test driver vivid.
    #[command(after_help = "Example:\n  cargo xtask vivid")]
    Vivid(vivid::VividArguments),
}

/// What to install, and where it may come from.
#[derive(Debug, Args)]
struct SetupArguments {
    /// Only what `caf-run` needs on a vehicle: GStreamer and ONNX Runtime, no libtorch.
    #[arg(long)]
    runtime: bool,
    /// Libraries that can use an NVIDIA GPU. The default where one is found.
    #[arg(long, conflicts_with = "cpu")]
    cuda: bool,
    /// Libraries for the CPU, even where a GPU is found.
    #[arg(long)]
    cpu: bool,
    /// Install nothing; fail when something is missing and say what.
    #[arg(long)]
    check: bool,
}

/// How to test.
#[derive(Debug, Args)]
struct TestArguments {
    /// Install nothing; fail when something is missing.
    #[arg(long)]
    no_setup: bool,
}

/// Carries out one call.
pub fn run(arguments: &Arguments) -> Result<()> {
    let repo = Repo::find()?;
    match &arguments.command {
        Task::Setup(wanted) => {
            let options = setup::Options {
                scope: if wanted.runtime { Scope::Runtime } else { Scope::Everything },
                device: Device::choose(wanted.cpu, wanted.cuda),
                check_only: wanted.check,
            };
            setup::run(&repo, &options).map(drop)
        }
        Task::Test(wanted) => test::run(&repo, !wanted.no_setup),
        Task::CheckLinks => links::run(&repo),
        Task::Fuse(wanted) => fuse::run(&repo, wanted),
        Task::Demo(wanted) => demo::run(&repo, wanted),
        Task::Vivid(wanted) => vivid::run(&repo, wanted),
    }
}
