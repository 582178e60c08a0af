//! `caf-search train fusion` and `caf-search train task`

use super::learning::LearningArgs;
use super::overrides::{SettingsArgs, Short};
use super::pairs::{IrRangeArg, list_of};
use anyhow::{Result, bail};
use caf_console::{Console, Interrupted, StopFlag, claim, out, write_json};
use caf_data::{Dataset, DatasetOptions, Need};
use caf_geometry::Size;
use caf_search::fusion::{self, FusionTrainConfig};
use caf_search::report::{fusion_plot, task_plot};
use caf_search::task::{ImageSource, TaskConfig, TaskImages, TaskRun, files, train_task};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Train the fusion network with a found loss.
    Fusion(FusionArgs),
    /// Train a detector on fused (or any) images.
    Task(TaskArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    caf-search train fusion --beta runs/m3fd/beta.toml --data m3fd --train train.txt --val val.txt --out runs/fusion\n\n\
    The same call goes on where an interrupted one stopped. The result is OUT/fusion.safetensors, the network after the last\n\
    iteration; OUT/validation.csv has losses and metrics of validation pairs (--val, --set validate_pairs=16), OUT/panels\n\
    pictures. None of these numbers picks the network.")]
pub(super) struct FusionArgs {
    #[command(flatten)]
    learning: LearningArgs,
    /// The loss.
    #[arg(long, value_name = "FILE")]
    beta: Option<PathBuf>,
    /// Weights to start from.
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// VGG-16 weights, in place of those the loss names.
    #[arg(long, value_name = "FILE")]
    vgg: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search train task --data roadscene --images fused --out runs/task --weights yolov5n.pt --epochs 50\n  \
    caf-search train task --data roadscene --images visible --out runs/visible --size 640x448\n\n\
    The same call goes on where an interrupted one stopped. The result is OUT/best.safetensors.")]
pub(super) struct TaskArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Folder of the results.
    #[arg(long)]
    out: PathBuf,
    /// Data set with labels and classes.txt, in the plain layout.
    #[arg(long)]
    data: PathBuf,
    /// What the detector sees: a folder of images with the pairs' names, `visible` or `infrared`.
    #[arg(long)]
    images: PathBuf,
    /// Names to train on.
    #[arg(long, value_name = "LIST", default_value = "train.txt")]
    train: PathBuf,
    /// Names to validate on.
    #[arg(long, value_name = "LIST", default_value = "val.txt")]
    val: PathBuf,
    /// Starting weights (.safetensors, or an original .pt); fresh without it.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    ir_range: IrRangeArg,
    /// n, s, m, l or x.
    #[arg(long)]
    variant: Option<String>,
    /// Size of the network's input, multiples of 32.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<Size>,
    /// Passes over the images.
    #[arg(long)]
    epochs: Option<usize>,
    /// Images in a batch.
    #[arg(long)]
    batch: Option<usize>,
    /// cpu, cuda, cuda:N or auto.
    #[arg(long)]
    device: Option<String>,
    /// Seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Write the outcome as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Fusion(args) => fusion(args),
        Command::Task(args) => task(args),
    }
}

fn fusion(args: &FusionArgs) -> Result<()> {
    let LearningArgs { out, json, .. } = &args.learning;
    let own = Short::default()
        .path("beta", args.beta.as_deref())
        .path("fusion.init", args.init.as_deref())
        .path("vgg.file", args.vgg.as_deref());
    let config: FusionTrainConfig = args.learning.load(own)?;
    config.check()?;
    args.learning.check(&config.data, |paths| {
        let paths = paths.file("--beta", args.beta.as_deref()).file("--init", args.init.as_deref());
        paths.file("--vgg", args.vgg.as_deref())
    })?;
    let (console, stop) = (Console::default(), StopFlag::on_signals()?);
    let done = fusion::train(&config, out, &console, &stop)?;
    write_json(json.as_deref(), &done)?;
    if done.iterations > 0 {
        fusion_plot(out)?;
    }
    let how = if done.interrupted { "stopped; the same call goes on" } else { "done" };
    if let Some(validation) = &done.validation {
        out!("after {} iterations: {validation}", validation.iteration)?;
    }
    let loss = done.last_loss.map_or_else(String::new, |loss| format!(", loss {loss:.4}"));
    out!("{how} after {} iterations{loss}: {}", done.iterations, out.join("fusion.safetensors").display())?;
    if done.interrupted {
        bail!(Interrupted);
    }
    Ok(())
}

/// `visible`, `infrared`, or a folder.
pub(super) fn image_source(images: &Path) -> ImageSource {
    match images.to_str() {
        Some("visible") => ImageSource::Visible,
        Some("infrared") => ImageSource::Infrared,
        _ => ImageSource::Folder(images.to_owned()),
    }
}

/// The folder of a source that is one.
pub(super) fn folder_of(source: &ImageSource) -> Option<&Path> {
    match source {
        ImageSource::Folder(folder) => Some(folder),
        ImageSource::Visible | ImageSource::Infrared => None,
    }
}

fn task(args: &TaskArgs) -> Result<()> {
    let short = Short::default()
        .path("weights", args.weights.as_deref())
        .text("variant", args.variant.as_deref())
        .value("ir_range", args.ir_range.toml())
        .value("image_width_px", args.size.map(|s| s.width))
        .value("image_height_px", args.size.map(|s| s.height))
        .value("epochs", args.epochs)
        .value("batch", args.batch)
        .text("device", args.device.as_deref())
        .value("seed", args.seed);
    let config: TaskConfig = args.settings.load(short)?;
    config.check()?;
    let source = image_source(&args.images);
    let paths = args.settings.paths().data_set("--data", &args.data).folder("--images", folder_of(&source));
    let paths = list_of(paths, "--train", &args.data, Some(&args.train));
    let paths = list_of(paths, "--val", &args.data, Some(&args.val)).file("--weights", args.weights.as_deref());
    paths.fills("--out", args.out.as_path()).writes("--json", args.json.as_deref()).check()?;
    claim(args.json.as_deref())?;
    let open = |list: &PathBuf| -> Result<TaskImages> {
        let (list, ir_range) = (Some(list.clone()), config.ir_range);
        let options = DatasetOptions { list, labels: Need::Required, ir_range, ..DatasetOptions::default() };
        Ok(TaskImages::open(&Dataset::open(&args.data, &options)?, &source, config.cache_mib)?)
    };
    let (train, val) = (open(&args.train)?, open(&args.val)?);
    let (console, stop) = (Console::default(), StopFlag::on_signals()?);
    let run =
        TaskRun { config: &config, train: &train, val: &val, out_dir: &args.out, stop: &stop, progress: &console };
    let outcome = train_task(&run)?;
    write_json(args.json.as_deref(), &outcome)?;
    if outcome.rows.iter().any(|row| row.scores.is_some()) {
        task_plot(&args.out)?;
    }
    let Some(best) = outcome.best_epoch else {
        if outcome.finished {
            bail!("no epoch was validated: there is no best network in {}", args.out.display());
        }
        out!("stopped after {} iterations; the same call goes on", outcome.iterations)?;
        bail!(Interrupted);
    };
    if let Some(scores) = outcome.rows.iter().find(|r| r.epoch == best).and_then(|r| r.scores) {
        out!("best epoch {best}: mAP@.5 {:.3}, mAP@.5:.95 {:.3}", scores.map50, scores.map50_95)?;
    }
    let how = if outcome.finished { "done" } else { "stopped; the same call goes on" };
    out!("{how}: {}", args.out.join(files::BEST).display())?;
    if !outcome.finished {
        bail!(Interrupted);
    }
    Ok(())
}
