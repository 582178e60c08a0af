//! `caf-run check`.

use std::path::PathBuf;

use caf_console::{Size, claim, print, write_json};
use clap::Args;

use super::args::ModelArgs;

/// Print what a model promises and what it can run on here, and time one pair.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caf-run check --model pipeline.onnx --provider cuda")]
pub struct CheckArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Size of the pair for a model that takes any.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "640x480")]
    size: Size,
    /// Report for machines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl CheckArgs {
    pub fn run(&self) -> anyhow::Result<()> {
        claim(self.json.as_deref())?;
        let size = (self.size.width_px, self.size.height_px);
        let report = crate::check::check(&self.model.model, self.model.options(), size)?;
        print(&report.text())?;
        Ok(write_json(self.json.as_deref(), &report)?)
    }
}
