//! `caf-run check`.

use std::path::PathBuf;

use caf_console::{Console, Progress as _, claim, print, write_json};
use caf_geometry::Size;
use caf_runtime::check::check;
use clap::Args;

use super::vehicle::{ModelArgs, WithOrigin};

/// Print what a model promises and what it can run on here, and time it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  caf-run check --model pipeline.onnx --provider cuda
  caf-run check --bundle vehicle --public-key public.pem")]
pub struct CheckArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Size of the pair for a model that takes any.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "640x480")]
    size: Size,
    /// Pairs to time, after a few to warm up.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: u32,
    /// Report for machines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl CheckArgs {
    pub fn run(&self) -> anyhow::Result<()> {
        self.model.paths().writes("--json", self.json.as_deref()).check()?;
        claim(self.json.as_deref())?;
        let vehicle = self.model.load()?;
        let console = Console::default();
        let (options, size) = (self.model.options(), self.size);
        let report = check(vehicle.model, options, size, self.runs, &mut |done, total| {
            if done == 1 {
                console.begin("time", total.into(), 0);
            }
            console.advance(done.into(), "");
        });
        console.end();
        let report = report?;
        print(&report.text())?;
        Ok(write_json(self.json.as_deref(), &WithOrigin::new(&report, &vehicle.origin))?)
    }
}
