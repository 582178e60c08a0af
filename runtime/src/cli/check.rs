//! `caf-run check`.

use std::path::PathBuf;

use clap::Args;

use super::args::{ModelArgs, size};

/// Print what a model promises and what it can run on here, and time one pair.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caf-run check --model pipeline.onnx --provider cuda")]
pub struct CheckArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Size of the pair for a model that takes any.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "640x480", value_parser = size)]
    size: (usize, usize),
    /// Report for machines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl CheckArgs {
    pub fn run(&self) -> anyhow::Result<()> {
        super::claim(self.json.as_deref())?;
        let report = crate::check::check(&self.model.model, self.model.options(), self.size)?;
        print!("{}", report.text());
        super::write_json(self.json.as_deref(), &report)
    }
}
