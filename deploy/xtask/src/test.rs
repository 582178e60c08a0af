//! `cargo xtask test`: everything a change must pass, the cheapest check first.

use std::process::Command;

use anyhow::Result;

use crate::links;
use crate::process;
use crate::repo::Repo;
use crate::report::{End, Report};
use crate::setup::{self, Libraries};

/// A call of cargo that must succeed.
struct Check {
    name: &'static str,
    arguments: &'static [&'static str],
    /// Warnings of rustdoc are errors, as clippy's are.
    documentation: bool,
}

/// The checks after formatting and links, cheapest first.
///
/// All use the development profile, so that what one of them builds serves the next.
const CHECKS: &[Check] = &[
    Check {
        name: "clippy",
        arguments: &["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"],
        documentation: false,
    },
    Check { name: "documentation", arguments: &["doc", "--locked", "--workspace", "--no-deps"], documentation: true },
    Check {
        name: "tests and documentation tests",
        // `--show-output`: golden tests say how many values they compared, and which data they missed.
        arguments: &["test", "--locked", "--workspace", "--no-fail-fast", "--", "--show-output"],
        documentation: false,
    },
];

/// Sets up unless told not to, then runs all checks; the checks after a failed one still run.
pub fn run(repo: &Repo, with_setup: bool) -> Result<()> {
    let mut report = Report::new();
    let mut libraries = None;
    let options = setup::Options { check_only: !with_setup, ..setup::Options::everything() };
    let ready = report.step("setup", || {
        libraries = Some(setup::run(repo, &options)?);
        Ok(End::Done)
    });
    report.step("formatting", || cargo(repo, None, &["fmt", "--all", "--check"], false));
    report.step("links", || links::run(repo).map(|()| End::Done));
    for check in CHECKS {
        // Without the libraries every build of the workspace fails, and none of the failures says why.
        if ready == End::Failed {
            report.not_run(check.name);
        } else {
            report.step(check.name, || cargo(repo, libraries.as_ref(), check.arguments, check.documentation));
        }
    }
    report.finish("cargo xtask test")
}

fn cargo(repo: &Repo, libraries: Option<&Libraries>, arguments: &[&str], deny_rustdoc: bool) -> Result<End> {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(repo.root());
    if let Some(libraries) = libraries {
        libraries.for_cargo(&mut command);
    }
    if deny_rustdoc {
        command.env("RUSTDOCFLAGS", "--deny warnings");
    }
    process::run(&mut command).map(|()| End::Done)
}
