//! `caf-search report`

use anyhow::Result;
use caf_console::{Paths, out};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  caf-search report runs/m3fd        draws runs/m3fd/plots again, also while a search runs"
)]
pub(super) struct Args {
    /// Folder of a search.
    run: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<()> {
    Paths::default().folder("RUN", args.run.as_path()).check()?;
    for plot in caf_search::report::search_plots(&args.run)? {
        out!("plot: {}", plot.display())?;
    }
    Ok(())
}
