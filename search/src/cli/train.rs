//! `caf-search train fusion` and `caf-search train task`

use super::learning::{LearningArgs, begin, ended, networks, tasks};
use super::overrides::Short;
use anyhow::Result;
use caf_console::{StopFlag, out, write_json};
use caf_search::fusion::{self, FusionTrainConfig};
use caf_search::loader::ImageSource;
use caf_search::task_training::{self, TaskTrainConfig, files};
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Train the fusion network with a found loss.
    Fusion(FusionArgs),
    /// Train a task network, such as a detector, on fused (or any) images.
    Task(TaskArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    caf-search train fusion --beta runs/m3fd/beta.toml --data m3fd --train train.txt --val val.txt --out runs/fusion\n  \
    caf-search train fusion --net student --teacher runs/fusion/fusion.safetensors --beta runs/m3fd/beta.toml --data m3fd \\\n    \
    --out runs/student --set fusion.rate=1e-3 --set fusion.final_share=0.01\n\n\
    The same call goes on where an interrupted one stopped. The result is OUT/fusion.safetensors, the network after the last\n\
    iteration; OUT/validation.csv has losses and metrics of validation pairs (--val, --set validation.pairs=16), OUT/panels\n\
    pictures. None of these numbers picks the network.")]
pub(super) struct FusionArgs {
    #[command(flatten)]
    learning: LearningArgs,
    /// The loss: what a search found, or weights of terms by hand [default: beta.toml]
    #[arg(long, value_name = "FILE")]
    beta: Option<PathBuf>,
    /// Kind of fusion network (`caf-search networks` lists them), short for --set fusion.network.kind=KIND.
    #[arg(long, value_name = "KIND", value_parser = networks())]
    net: Option<String>,
    /// Weights to start from.
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// VGG-16 weights, in place of those the loss names.
    #[arg(long, value_name = "FILE")]
    vgg: Option<PathBuf>,
    /// Weights of a fusion network whose images are learnt from beside the loss, such as for --net student.
    #[arg(long, value_name = "FILE")]
    teacher: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search train task --data roadscene --images fused --out runs/task --init yolov5n.pt --epochs 50\n  \
    caf-search train task --data msrs --images visible --out runs/visible --task segmentation --size 640x480 --iterations 4000\n\n\
    The same call goes on where an interrupted one stopped. The result is OUT/best.safetensors; OUT/validation.csv has the scores.")]
pub(super) struct TaskArgs {
    #[command(flatten)]
    learning: LearningArgs,
    /// What the network sees: a folder of images with the pairs' names, `visible` or `infrared`.
    #[arg(long)]
    images: Option<ImageSource>,
    /// The task.
    #[arg(long, value_name = "KIND", value_parser = tasks())]
    task: Option<String>,
    /// Starting weights (.safetensors, or an original .pt, .pth); fresh without it.
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// The task's network by its size, such as n, s, m, l, x, b0 or deeplabv3plus-mobilenet; without it that of the starting weights.
    #[arg(long)]
    variant: Option<String>,
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
        .path("--beta", "beta", args.beta.as_deref())
        .text("--net", "fusion.network.kind", args.net.as_deref())
        .path("--init", "fusion.init", args.init.as_deref())
        .path("--vgg", "vgg.file", args.vgg.as_deref())
        .path("--teacher", "teacher.file", args.teacher.as_deref());
    let config: FusionTrainConfig = args.learning.load(own)?;
    config.check()?;
    let beta = if args.beta.is_some() { "--beta" } else { "setting `beta` (no --beta is given)" };
    args.learning.check(&config.data, |paths| {
        let paths = paths.file(beta, Some(config.beta.as_path())).file("--init", args.init.as_deref());
        paths.file("--vgg", args.vgg.as_deref()).file("--teacher", args.teacher.as_deref())
    })?;
    let (console, stop) = (begin()?, StopFlag::on_signals()?);
    let done = fusion::train(&config, out, &*console, &stop)?;
    if !caf_ranks::leads() {
        return ended(done.interrupted);
    }
    write_json(json.as_deref(), &done)?;
    if done.iterations > 0 {
        super::report::make(out)?;
    }
    let how = if done.interrupted { "stopped; the same call goes on" } else { "done" };
    if let Some(validation) = &done.validation {
        out!("after {} iterations: {validation}", validation.iteration)?;
    }
    let loss = done.last_loss.map_or_else(String::new, |loss| format!(", loss {loss:.4}"));
    out!("{how} after {} iterations{loss}: {}", done.iterations, out.join("fusion.safetensors").display())?;
    ended(done.interrupted)
}

fn task(args: &TaskArgs) -> Result<()> {
    let LearningArgs { out, json, .. } = &args.learning;
    let images = args.images.as_ref().map(ToString::to_string);
    let own = Short::default()
        .text("--images", "images", images.as_deref())
        .text("--task", "task.kind", args.task.as_deref())
        .path("--init", "task.init", args.init.as_deref())
        .text("--variant", "task.variant", args.variant.as_deref());
    let config: TaskTrainConfig = args.learning.load(own)?;
    config.check()?;
    args.learning.check(&config.data, |paths| {
        paths.folder("--images", config.images.folder()).file("--init", args.init.as_deref())
    })?;
    let (console, stop) = (begin()?, StopFlag::on_signals()?);
    let done = task_training::train(&config, out, &*console, &stop)?;
    if !caf_ranks::leads() {
        return ended(done.interrupted);
    }
    write_json(json.as_deref(), &done)?;
    if let Some(best) = &done.best {
        super::report::make(out)?;
        let scores = config.task.kind().scores.iter().zip(&best.scores);
        let words: Vec<String> = scores.map(|(name, score)| format!("{name} {score:.3}")).collect();
        out!("best at iteration {}: {}", best.iteration, words.join(" "))?;
    }
    let how = if done.interrupted { "stopped; the same call goes on" } else { "done" };
    let made = if done.best.is_some() { out.join(files::BEST) } else { out.clone() };
    out!("{how} after {} iterations: {}", done.iterations, made.display())?;
    ended(done.interrupted)
}
