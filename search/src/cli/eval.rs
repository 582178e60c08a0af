//! `caf-search eval`

use super::WrongCall;
use super::train::image_source;
use anyhow::{Result, bail};
use caf_console::{Size, claim, out, write_json};
use caf_data::{Dataset, DatasetOptions, Need};
use caf_eval::fusion::Metric;
use caf_search::evaluate::{FusionReport, fusion_report};
use caf_search::task::{
    DetectionReport, EvalSettings, ImageSource, TaskConfig, TaskImages, evaluate_task, load_detector,
};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search eval --data roadscene --list val.txt --images fused --task runs/task/best.safetensors --json eval.json\n  \
    caf-search eval --data roadscene --list val.txt --images fused          fusion metrics alone")]
pub(super) struct Args {
    /// Data set in the plain layout.
    #[arg(long)]
    data: PathBuf,
    /// Only these names.
    #[arg(long, value_name = "LIST")]
    list: Option<PathBuf>,
    /// Folder of images with the pairs' names; with --task also `visible` or `infrared`.
    #[arg(long)]
    images: PathBuf,
    /// Detector to measure on the images.
    #[arg(long, value_name = "FILE")]
    task: Option<PathBuf>,
    /// Size of the detector's input.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<Size>,
    /// Leave the fusion metrics out.
    #[arg(long)]
    no_fusion: bool,
    /// cpu, cuda, cuda:N or auto.
    #[arg(long, default_value = "auto")]
    device: String,
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
    claim(args.json.as_deref())?;
    let labels = if args.task.is_some() { Need::Required } else { Need::Ignore };
    let options = DatasetOptions { list: args.list.clone(), labels, ..DatasetOptions::default() };
    let dataset = Dataset::open(&args.data, &options)?;
    let source = image_source(&args.images);
    let fusion = match &source {
        ImageSource::Folder(folder) if !args.no_fusion => {
            Some(fusion_report(&dataset, folder, &[Metric::Mi, Metric::Sd, Metric::Vif, Metric::Scd])?)
        }
        _ => None,
    };
    let detection = args.task.as_ref().map(|_| detect(args, &dataset, &source)).transpose()?;
    if fusion.is_none() && detection.is_none() {
        bail!(WrongCall("nothing to measure: give a folder of images, or --task".to_owned()));
    }
    for (name, mean) in fusion.iter().flatten() {
        let note =
            if mean.left_out > 0 { format!("  ({} not finite, left out)", mean.left_out) } else { String::new() };
        out!("{name:<6} {:.4}{note}", mean.mean)?;
    }
    if let Some(report) = &detection {
        print_detection(report)?;
    }
    write_json(args.json.as_deref(), &Report { images: dataset.len(), fusion, detection })?;
    Ok(())
}

fn detect(args: &Args, dataset: &Dataset, source: &ImageSource) -> Result<DetectionReport> {
    let Some(path) = &args.task else { bail!("--task is missing") };
    let device = caf_torch::device_from_name(&args.device)?;
    let loaded = load_detector(path, device)?;
    let config = TaskConfig::default();
    let mut settings = EvalSettings::of_training(&config);
    if let Some(size) = args.size.map(Size::wh).or(loaded.image_size_px) {
        settings.size = (size[0], size[1]);
    }
    let images = TaskImages::open(dataset, source, config.cache_mib)?;
    if loaded.classes != images.classes() {
        bail!("{} knows the classes {:?}, the data set has {:?}", path.display(), loaded.classes, images.classes());
    }
    Ok(evaluate_task(&loaded.detector, &loaded.params, &images, &settings)?)
}

fn print_detection(report: &DetectionReport) -> Result<()> {
    out!("{:<12} {:>6} {:>7} {:>7} {:>7} {:>9}", "class", "labels", "P", "R", "AP@.5", "AP@.5:.95")?;
    let row = |name: &str, labels: usize, values: [Option<f64>; 4]| {
        let cell = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{:.1}", 100.0 * v));
        let [p, r, a, b] = values.map(cell);
        out!("{name:<12} {labels:>6} {p:>7} {r:>7} {a:>7} {b:>9}")
    };
    for c in &report.classes {
        row(&c.name, c.labels, [c.precision, c.recall, c.ap50, c.ap50_95])?;
    }
    let means = [report.precision, report.recall, report.map50, report.map50_95].map(Some);
    Ok(row("mean", report.labels, means)?)
}
