//! `caf-search eval`

use super::WrongCall;
use super::pairs::PairsArgs;
use super::train::{folder_of, image_source};
use anyhow::{Result, bail};
use caf_console::{Console, StopFlag, claim, out, print, write_json};
use caf_data::{Dataset, Need};
use caf_geometry::Size;
use caf_search::evaluate::{FusionReport, METRICS, fusion_report};
use caf_search::task::{
    DetectionReport, EvalSettings, ImageSource, TaskConfig, TaskImages, evaluate_task, load_detector,
};
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search eval --data roadscene --list val.txt --images fused --task runs/task/best.safetensors --json eval.json\n  \
    caf-search eval --data roadscene --list val.txt --images fused          fusion metrics alone")]
pub(super) struct Args {
    #[command(flatten)]
    pairs: PairsArgs,
    /// Folder of images with the pairs' names; with --task also `visible` or `infrared`.
    #[arg(long)]
    images: PathBuf,
    /// Detector to measure on the images.
    #[arg(long, value_name = "FILE")]
    task: Option<PathBuf>,
    /// Size of the detector's input, multiples of 32; that of its training without it.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<Size>,
    /// Leave the fusion metrics out.
    #[arg(long)]
    no_fusion: bool,
    /// Write everything as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    images: usize,
    fusion: Option<FusionReport>,
    detection: Option<DetectionReport>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let source = image_source(&args.images);
    let fused = folder_of(&source).filter(|_| !args.no_fusion);
    if fused.is_none() && args.task.is_none() {
        bail!(WrongCall("nothing to measure: give a folder of images, or --task".to_owned()));
    }
    let paths = args.pairs.paths().folder("--images", folder_of(&source)).file("--task", args.task.as_deref());
    paths.writes("--json", args.json.as_deref()).check()?;
    claim(args.json.as_deref())?;
    let (console, stop) = (Console::default(), StopFlag::on_signals()?);
    let dataset = args.pairs.open(if args.task.is_some() { Need::Required } else { Need::Ignore })?;
    let detection =
        args.task.as_ref().map(|task| detect(args, task, &dataset, &source, &console, &stop)).transpose()?;
    let fusion = fused.map(|folder| fusion_report(&dataset, folder, &METRICS, &console, &stop)).transpose()?;
    for (name, mean) in fusion.iter().flatten() {
        let note =
            if mean.left_out > 0 { format!("  ({} not finite, left out)", mean.left_out) } else { String::new() };
        let value = mean.mean.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
        out!("{name:<6} {value}{note}")?;
    }
    if let Some(report) = &detection {
        print(&report.table())?;
    }
    write_json(args.json.as_deref(), &Report { images: dataset.len(), fusion, detection })?;
    Ok(())
}

fn detect(
    args: &Args,
    task: &Path,
    dataset: &Dataset,
    source: &ImageSource,
    console: &Console,
    stop: &StopFlag,
) -> Result<DetectionReport> {
    let loaded = load_detector(task, args.pairs.device()?)?;
    let config = TaskConfig::default();
    let mut settings = EvalSettings::of_training(&config);
    if let Some(size) = args.size.map(Size::wh).or(loaded.image_size_px) {
        settings.size = (size[0], size[1]);
    }
    let images = TaskImages::open(dataset, source, config.cache_mib)?;
    if loaded.classes != images.classes() {
        bail!("{} knows the classes {:?}, the data set has {:?}", task.display(), loaded.classes, images.classes());
    }
    Ok(evaluate_task(&loaded.detector, &loaded.params, &images, &settings, console, stop)?)
}
