//! `cargo xtask demo`: the whole chain on this machine, ending in a page.

mod files;
mod page;
mod pairs;
mod plan;
mod runner;
mod settings;
mod stamp;
mod step;
mod steps;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use caf_console::{Interrupted, StopFlag};

use crate::process;
use crate::repo::Repo;
use crate::report::{End, Report};
use crate::setup::{self, Libraries};
use page::Page;
pub use plan::DemoArguments;
use plan::Plan;
use runner::Runner;
use step::Program;
use steps::steps;

const TITLE: &str = "cargo xtask demo";

/// Runs the demo; steps whose outputs are complete and whose inputs did not change are skipped.
pub fn run(repo: &Repo, arguments: &DemoArguments) -> Result<()> {
    let plan = Plan::new(repo, arguments)?;
    let mut report = Report::new();
    let mut libraries = None;
    report.step("setup", || {
        libraries = Some(setup::run(repo, &setup::Options::everything())?);
        Ok(End::Done)
    });
    let Some(libraries) = libraries else { return report.finish(TITLE) };
    let mut programs = None;
    report.step("build", || {
        programs = Some(build(repo, &libraries)?);
        Ok(End::Done)
    });
    let Some(programs) = programs else { return report.finish(TITLE) };

    // Ctrl-C reaches the running step as well, which saves what it has and ends; after a signal to this process alone, that step comes
    // to its end first.
    let stop = StopFlag::on_signals().context("cannot catch interrupts")?;
    let out = repo.root().join(&plan.out);
    let runner = Runner::new(repo, libraries, programs, out.clone(), stop.clone())?;
    let mut ran = Vec::new();
    let mut ended_at = None;
    for step in steps(&plan) {
        if ended_at.is_some() || stop.is_raised() {
            report.not_run(&step.name);
            continue;
        }
        match report.step(&step.name, || runner.run(&step, &mut ran)) {
            End::Done | End::Skipped => {}
            End::Stopped | End::Failed | End::NotRun => ended_at = Some(step.name),
        }
    }
    let page = Page { plan: &plan, out: &out, ran: &ran, ended_at: ended_at.as_deref() }.write()?;
    let outcome = report.finish(TITLE);
    println!("\nThe page: {}", page.display());
    if stop.is_raised() {
        println!("stopped; the same call goes on");
        return Err(Interrupted.into());
    }
    outcome
}

/// Builds the programs and returns the folder they lie in.
///
/// In the development profile, which this program itself and the tests are built in, so that every dependency is built once. It
/// optimises; what release builds gain is in other hands: libtorch and ONNX Runtime do the long work.
fn build(repo: &Repo, libraries: &Libraries) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--locked"]).current_dir(repo.root());
    for program in Program::ALL {
        cargo.args(["--package", program.binary()]);
    }
    process::run(libraries.for_cargo(&mut cargo))?;
    let mut metadata = Command::new("cargo");
    metadata.args(["metadata", "--format-version=1", "--no-deps", "--locked"]).current_dir(repo.root());
    let text = process::capture(libraries.for_cargo(&mut metadata))?;
    let read: serde_json::Value = serde_json::from_str(&text).context("cannot read what `cargo metadata` printed")?;
    let target = read.get("target_directory").and_then(|target| target.as_str());
    Ok(Path::new(target.context("`cargo metadata` names no target_directory")?).join("debug"))
}
