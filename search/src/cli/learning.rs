//! Options that all trainings share.

use super::overrides::{SettingsArgs, Short};
use super::pairs::{IrRangeArg, LayoutArg, require_list};
use anyhow::{Result, bail};
use caf_console::{Console, Interrupted, Paths, Progress, Silent, claim};
use caf_geometry::Size;
use caf_net::zoo::FUSION_NETWORKS;
use caf_ranks::Address;
use caf_search::run_settings::DataSettings;
use caf_search::tasks::TASKS;
use clap::builder::PossibleValuesParser;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// The kinds of fusion networks.
pub(super) fn networks() -> PossibleValuesParser {
    PossibleValuesParser::new(FUSION_NETWORKS.iter().map(|network| network.kind))
}

/// The kinds of tasks.
pub(super) fn tasks() -> PossibleValuesParser {
    PossibleValuesParser::new(TASKS.iter().map(|task| task.kind))
}

/// Joins the other ranks, where the environment names some (docs/ranks.md). What is said to people, the first rank says.
pub(super) fn begin() -> Result<Box<dyn Progress>> {
    if let Some(address) = Address::from_environment()? {
        caf_ranks::join(address)?;
    }
    Ok(if caf_ranks::leads() { Box::new(Console::default()) } else { Box::new(Silent) })
}

/// How a training ends that was asked to stop or not.
pub(super) fn ended(interrupted: bool) -> Result<()> {
    if interrupted {
        bail!(Interrupted);
    }
    Ok(())
}

/// What is learned from, how long, and where the results go.
#[derive(Debug, clap::Args)]
pub(super) struct LearningArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Folder of the results.
    #[arg(long)]
    pub(super) out: PathBuf,
    /// Data set.
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    layout: LayoutArg,
    /// Names to learn from [default: all pairs; of `train task` train.txt]. A search without --val halves them.
    #[arg(long, value_name = "LIST")]
    train: Option<PathBuf>,
    /// Names to validate on [default of `train task`: val.txt]. A search moves the weights by their task loss, a training measures
    /// its network on them.
    #[arg(long, value_name = "LIST")]
    val: Option<PathBuf>,
    /// Passes over the training samples.
    #[arg(long)]
    epochs: Option<usize>,
    /// Iterations in all, in place of epochs.
    #[arg(long)]
    iterations: Option<usize>,
    /// Samples in a batch.
    #[arg(long)]
    batch: Option<usize>,
    /// What a network is trained on: crops of this size, or for `train task` whole images fitted into it. A pair smaller than its
    /// crop is enlarged just enough to cover it, and how many are is said; when all are smaller, that is an error.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<Size>,
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
    pub(super) fn load<T: DeserializeOwned + Serialize + Default>(&self, command: Short) -> Result<T> {
        let short = command
            .path("--data", "data.root", self.data.as_deref())
            .text("--layout", "data.layout", self.layout.name().as_deref())
            .path("--train", "data.train", self.train.as_deref())
            .path("--val", "data.val", self.val.as_deref())
            .value("--ir-range", "data.ir_range", self.ir_range.toml())
            .value("--epochs", "run.epochs", self.epochs)
            .value("--iterations", "run.iterations", self.iterations)
            .value("--batch", "run.batch", self.batch)
            .size("--size", "run.size_px", self.size)
            .text("--device", "run.device", self.device.as_deref())
            .value("--seed", "run.seed", self.seed);
        self.settings.load(short)
    }

    /// Checks the paths of the call, of which the command `reads` some, and that the outcome can be written later.
    pub(super) fn check(&self, data: &DataSettings, reads: impl FnOnce(Paths) -> Paths) -> Result<()> {
        let paths = self.settings.paths().data_set("--data", data.root.as_path());
        let paths = paths.list("--train", &data.root, data.train.as_deref());
        let paths = paths.list("--val", &data.root, data.val.as_deref());
        reads(paths).fills("--out", self.out.as_path()).writes("--json", self.json.as_deref()).check()?;
        for (option, list) in [("--train", &data.train), ("--val", &data.val)] {
            require_list(option, &data.root, data.layout.as_deref(), list.as_deref())?;
        }
        Ok(claim(self.json.as_deref())?)
    }
}
