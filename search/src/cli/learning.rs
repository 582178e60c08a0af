//! Options that the search and the training of the fusion network share.

use super::overrides::{SettingsArgs, Short};
use super::pairs::{IrRangeArg, list_of};
use anyhow::Result;
use caf_console::{Paths, claim};
use caf_geometry::Size;
use caf_search::learning::DataSettings;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// What is learned from, how long, and where the results go.
#[derive(Debug, clap::Args)]
pub(super) struct LearningArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Folder of the results.
    #[arg(long)]
    pub(super) out: PathBuf,
    /// Data set in the plain layout.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Names to learn from; a search without --val halves them.
    #[arg(long, value_name = "LIST")]
    train: Option<PathBuf>,
    /// Names to validate on: a search moves the weights by their task loss, a training of the network measures them.
    #[arg(long, value_name = "LIST")]
    val: Option<PathBuf>,
    /// Kind of fusion network (`caf-search networks` lists them), short for --set fusion.network.kind=KIND.
    #[arg(long, value_name = "KIND")]
    net: Option<String>,
    /// Iterations in all, in place of epochs.
    #[arg(long)]
    iterations: Option<usize>,
    /// Pairs in a batch.
    #[arg(long)]
    batch: Option<usize>,
    /// Size of the crops. A smaller pair is enlarged just enough to cover its crop, and how many are is said; when all are
    /// smaller, that is an error.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    crop: Option<Size>,
    #[command(flatten)]
    ir_range: IrRangeArg,
    /// cpu, cuda, cuda:N or auto.
    #[arg(long)]
    device: Option<String>,
    /// Seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Write the outcome as JSON.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

impl LearningArgs {
    /// The configuration: the file, these options and those of the command, `--set`; later ones win.
    pub(super) fn load<T: DeserializeOwned>(&self, command: Short) -> Result<T> {
        let short = command
            .path("data.root", self.data.as_deref())
            .path("data.train", self.train.as_deref())
            .path("data.val", self.val.as_deref())
            .value("data.ir_range", self.ir_range.toml())
            .text("fusion.network.kind", self.net.as_deref())
            .value("iterations", self.iterations)
            .value("batch", self.batch)
            .size("crop_px", self.crop)
            .text("device", self.device.as_deref())
            .value("seed", self.seed);
        self.settings.load(short)
    }

    /// Checks the paths of the call, of which the command `reads` some, and that the outcome can be written later.
    pub(super) fn check(&self, data: &DataSettings, reads: impl FnOnce(Paths) -> Paths) -> Result<()> {
        let paths = self.settings.paths().data_set("--data", &data.root);
        let paths = list_of(paths, "--train", &data.root, data.train.as_deref());
        let paths = list_of(paths, "--val", &data.root, data.val.as_deref());
        reads(paths).fills("--out", self.out.as_path()).writes("--json", self.json.as_deref()).check()?;
        Ok(claim(self.json.as_deref())?)
    }
}
