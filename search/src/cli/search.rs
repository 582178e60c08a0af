//! `caf-search search`

use super::overrides::{SettingsArgs, Short};
use anyhow::Result;
use caf_search::file::write_json;
use caf_search::progress::{Console, Progress};
use caf_search::search::{self, SearchConfig};
use caf_search::stop::StopFlag;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search search --data m3fd --train train.txt --out runs/m3fd --task-init yolov5s.pt --vgg vgg16.safetensors\n  \
    caf-search search --data scenes --out runs/small --iterations 60 --batch 2 --crop 128x128 --set task.variant=n\n\n\
    The same call goes on where an interrupted one stopped. The result is OUT/beta.toml.")]
pub(super) struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Folder of the results.
    #[arg(long)]
    out: PathBuf,
    /// Data set in the plain layout.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Names to search on; halved into train and val unless --val is given.
    #[arg(long, value_name = "LIST")]
    train: Option<PathBuf>,
    /// Names whose task loss moves the weights.
    #[arg(long, value_name = "LIST")]
    val: Option<PathBuf>,
    /// Iterations in all, in place of epochs.
    #[arg(long)]
    iterations: Option<usize>,
    /// Pairs in a batch.
    #[arg(long)]
    batch: Option<usize>,
    /// Size of the crops.
    #[arg(long, value_name = "WxH", value_parser = super::size)]
    crop: Option<[usize; 2]>,
    /// cpu, cuda, cuda:N or auto.
    #[arg(long)]
    device: Option<String>,
    /// Seed.
    #[arg(long)]
    seed: Option<u64>,
    /// VGG-16 weights for the perceptual terms; these are off without it.
    #[arg(long, value_name = "FILE")]
    vgg: Option<PathBuf>,
    /// Weights the detector starts from.
    #[arg(long, value_name = "FILE")]
    task_init: Option<PathBuf>,
    /// Write the outcome as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let short = Short::default()
        .path("data.root", args.data.as_deref())
        .path("data.train", args.train.as_deref())
        .path("data.val", args.val.as_deref())
        .value("iterations", args.iterations)
        .value("batch", args.batch)
        .size("crop_px", args.crop)
        .text("device", args.device.as_deref())
        .value("seed", args.seed)
        .path("loss.vgg.file", args.vgg.as_deref())
        .path("task.init", args.task_init.as_deref());
    let config: SearchConfig = args.settings.load(short)?;
    let (console, stop) = (Console::default(), StopFlag::on_signals()?);
    let done = search::run(&config, &args.out, &console, &stop)?;
    if let Some(path) = &args.json {
        write_json(path, &done)?;
    }
    let plots = caf_search::report::search_plots(&args.out)?;
    let [task, fusion, beta] = done.median_ms;
    console.say(&format!("median of an iteration: task {task:.0} ms, fusion {fusion:.0} ms, beta {beta:.0} ms"));
    let mut weights: Vec<(&String, &f64)> = done.beta.weights.iter().collect();
    weights.sort_by(|a, b| b.1.total_cmp(a.1));
    for (name, weight) in weights {
        println!("{name:<16} {weight:.4}");
    }
    for plot in plots {
        println!("plot: {}", plot.display());
    }
    let how = if done.interrupted { "stopped; the same call goes on" } else { "done" };
    println!("{how} after {} iterations: {}", done.iterations, args.out.join("beta.toml").display());
    Ok(())
}
