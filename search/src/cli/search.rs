//! `caf-search search`

use super::learning::{LearningArgs, begin, ended, networks, tasks};
use super::overrides::Short;
use anyhow::Result;
use caf_console::{StopFlag, out, write_json};
use caf_search::search::{self, PRESETS, SearchConfig};
use clap::builder::{PossibleValue, PossibleValuesParser};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search search --data m3fd --train train.txt --out runs/m3fd --init yolov5s.pt --vgg vgg16.safetensors\n  \
    caf-search search --data scenes --out runs/small --iterations 60 --batch 2 --size 128x128 --set task.variant=n\n\n\
    The same call goes on where an interrupted one stopped. The result is OUT/beta.toml.")]
pub(super) struct Args {
    #[command(flatten)]
    learning: LearningArgs,
    /// Named settings beneath all others (docs/search.md).
    #[arg(long, value_name = "NAME", default_value = PRESETS[0].name, value_parser = presets())]
    preset: String,
    /// VGG-16 weights for the perceptual terms; these are off without it.
    #[arg(long, value_name = "FILE")]
    vgg: Option<PathBuf>,
    /// Kind of fusion network (`caf-search networks` lists them), short for --set fusion.network.kind=KIND.
    #[arg(long, value_name = "KIND", value_parser = networks())]
    net: Option<String>,
    /// The task whose loss moves the weights.
    #[arg(long, value_name = "KIND", value_parser = tasks())]
    task: Option<String>,
    /// Weights the task network starts from (.safetensors, or an original .pt, .pth).
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
}

fn presets() -> PossibleValuesParser {
    PRESETS.iter().map(|preset| PossibleValue::new(preset.name).help(preset.help)).collect::<Vec<_>>().into()
}

pub(super) fn run(args: &Args) -> Result<()> {
    let LearningArgs { out, json, .. } = &args.learning;
    let own = Short::preset(search::preset(&args.preset)?)
        .path("--vgg", "loss.vgg.file", args.vgg.as_deref())
        .text("--net", "fusion.network.kind", args.net.as_deref())
        .text("--task", "task.kind", args.task.as_deref())
        .path("--init", "task.init", args.init.as_deref());
    let config: SearchConfig = args.learning.load(own)?;
    config.check()?;
    args.learning
        .check(&config.data, |paths| paths.file("--vgg", args.vgg.as_deref()).file("--init", args.init.as_deref()))?;
    let (console, stop) = (begin()?, StopFlag::on_signals()?);
    let done = search::run(&config, out, &*console, &stop)?;
    if !caf_ranks::leads() {
        return ended(done.interrupted);
    }
    write_json(json.as_deref(), &done)?;
    // An interrupt before the first iteration leaves nothing to draw.
    let made = if done.iterations > 0 { Some(super::report::make(out)?) } else { None };
    if let Some([task, fusion, beta]) = done.median_ms {
        console.say(&format!("median of an iteration: task {task:.0} ms, fusion {fusion:.0} ms, beta {beta:.0} ms"));
    }
    let mut weights: Vec<(&String, &f64)> = done.beta.weights.iter().collect();
    weights.sort_by(|a, b| b.1.total_cmp(a.1));
    for (name, weight) in weights {
        out!("{name:<16} {weight:.4}")?;
    }
    if let Some(made) = &made {
        made.tell()?;
    }
    let how = if done.interrupted { "stopped; the same call goes on" } else { "done" };
    out!("{how} after {} iterations: {}", done.iterations, out.join("beta.toml").display())?;
    ended(done.interrupted)
}
