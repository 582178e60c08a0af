//! `caf-search eval`

use super::WrongCall;
use super::pairs::PairsArgs;
use anyhow::{Result, bail};
use caf_console::{Console, StopFlag, claim, out, print, write_json};
use caf_data::Dataset;
use caf_geometry::Size;
use caf_search::evaluate::{FusionReport, METRICS, fusion_report};
use caf_search::loader::{ImageSource, TaskImages};
use caf_search::tasks::{TaskReport, Trained, open_task};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search eval --data roadscene --list val.txt --images fused --task runs/task/best.safetensors --json eval.json\n  \
    caf-search eval --data roadscene --list val.txt --images fused          fusion metrics alone")]
pub(super) struct Args {
    #[command(flatten)]
    pairs: PairsArgs,
    /// Folder of images with the pairs' names; with --task also `visible` or `infrared`.
    #[arg(long)]
    images: ImageSource,
    /// Task network to measure on the images; its file says of which task it is.
    #[arg(long, value_name = "FILE")]
    task: Option<PathBuf>,
    /// Size of a detector's input; that of its training without it. A segmenter sees every image at its own size.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<Size>,
    /// Leave the fusion metrics out.
    #[arg(long)]
    no_fusion: bool,
    /// Write everything as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Images in a batch.
const BATCH: usize = 16;

#[derive(Debug, Serialize)]
struct Report {
    images: usize,
    fusion: Option<FusionReport>,
    /// What the task network was measured to do, under the name of its task.
    #[serde(flatten)]
    task: BTreeMap<&'static str, serde_json::Value>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let fused = args.images.folder().filter(|_| !args.no_fusion);
    if fused.is_none() && args.task.is_none() {
        bail!(WrongCall("nothing to measure: give a folder of images, or --task".to_owned()));
    }
    let paths = args.pairs.paths().folder("--images", args.images.folder()).file("--task", args.task.as_deref());
    paths.writes("--json", args.json.as_deref()).check()?;
    claim(args.json.as_deref())?;
    let (console, stop) = (Console::default(), StopFlag::on_signals()?);
    let device = args.pairs.device()?;
    let network = args.task.as_ref().map(|path| open_task(path, device)).transpose()?;
    let network_and_file = network.as_ref().zip(args.task.as_deref());
    // Other images were made by whoever wrote them.
    let of_infrared = network_and_file.filter(|_| args.images == ImageSource::Infrared);
    let ir_range = args.pairs.ir_range.of_network(of_infrared.map(|(network, path)| (path, network.ir_range())))?;
    let dataset = args.pairs.open(network.as_ref().map(|network| network.annotation()), ir_range)?;
    let task = network.map(|network| measure(args, &network, &dataset, &console, &stop)).transpose()?;
    let fusion = fused.map(|folder| fusion_report(&dataset, folder, &METRICS, &console, &stop)).transpose()?;
    for (name, mean) in fusion.iter().flatten() {
        let note =
            if mean.left_out > 0 { format!("  ({} not finite, left out)", mean.left_out) } else { String::new() };
        let value = mean.mean.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
        out!("{name:<6} {value}{note}")?;
    }
    if let Some(report) = &task {
        print(&report.table)?;
    }
    let task = task.into_iter().map(|report| (report.kind, report.details)).collect();
    write_json(args.json.as_deref(), &Report { images: dataset.len(), fusion, task })?;
    Ok(())
}

fn measure(
    args: &Args,
    network: &Trained,
    dataset: &Dataset,
    console: &Console,
    stop: &StopFlag,
) -> Result<TaskReport> {
    // Every image is looked at once: there is nothing to keep.
    let images = TaskImages::open(dataset, &args.images, network.annotation(), 0)?;
    Ok(network.evaluate(&images, args.size, BATCH, console, stop)?)
}
