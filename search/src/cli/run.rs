//! `caf-search run`

use super::WrongCall;
use anyhow::{Result, bail};
use caf_console::{Console, Interrupted, Paths, StopFlag, claim, out, print, write_json};
use caf_ranks::Address;
use caf_search::LOG;
use caf_search::chain::{self, ChainConfig, files};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    caf-search run configs/scenes-yolov5n.toml --out runs/scenes\n\n\
    The same call goes on where an interrupted one stopped; a step that is finished is not run again. The results are OUT/search/beta.toml,\n\
    OUT/fusion/fusion.safetensors, OUT/fused, OUT/task, OUT/evaluation/evaluation.json and OUT/report.html.")]
pub(super) struct Args {
    /// Settings of all steps, in TOML (docs/run.md); unknown keys are refused.
    config: PathBuf,
    /// Folder of the results.
    #[arg(long)]
    out: PathBuf,
    /// One setting, such as `--set search.run.epochs=5`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Write the outcome as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let paths = Paths::default().file("CONFIG", args.config.as_path());
    paths.fills("--out", args.out.as_path()).writes("--json", args.json.as_deref()).check()?;
    if Address::from_environment()?.is_some() {
        bail!(WrongCall("run is one process; several ranks take the single commands (docs/ranks.md)".to_owned()));
    }
    let config: ChainConfig = caf_search::settings::load(Some(&args.config), &args.set)?;
    let steps = config.resolve()?;
    let named = |table: &toml::Table| table.get("init").and_then(toml::Value::as_str).map(PathBuf::from);
    let paths = Paths::default().file("task.init", named(steps.search.task.table()).as_deref());
    let paths = paths.file("train_task.task.init", named(steps.train_task.task.table()).as_deref());
    let paths = paths.file("search.fusion.init", steps.search.fusion.init.as_deref());
    let paths = paths.file("train_fusion.fusion.init", steps.train_fusion.fusion.init.as_deref());
    let mut paths = paths.file("search.loss.vgg.file", steps.search.loss.vgg.as_ref().map(|vgg| vgg.file.as_path()));
    if config.scenes.is_none() {
        for data in [&steps.search.data, &steps.train_fusion.data, &steps.train_task.data] {
            paths = paths.data_set("data.root", data.root.as_path());
        }
    }
    paths.check()?;
    claim(args.json.as_deref())?;
    let (console, stop) = (Console::default(), StopFlag::on_signals()?);
    let done = chain::run(&config, &args.out, &console, &stop)?;
    for folder in [files::SEARCH, files::FUSION, files::TASK].map(|name| args.out.join(name)) {
        // A step that was stopped before its first row has nothing to draw.
        let rows = std::fs::read_to_string(folder.join(LOG)).map_or(0, |log| log.lines().count());
        if rows > 1 {
            super::report::make(&folder)?;
        }
    }
    let page = chain::draw(&args.out, &done)?;
    write_json(args.json.as_deref(), &done)?;
    if let Some(table) = done.evaluation.as_ref().and_then(|evaluation| evaluation["table"].as_str()) {
        print(table)?;
    }
    let names: Vec<&str> = done.steps.iter().map(|step| step.name).collect();
    let how = if done.interrupted { "stopped; the same call goes on" } else { "done" };
    out!("{how}: {}", names.join(", "))?;
    out!("page: {}", page.display())?;
    if done.interrupted {
        bail!(Interrupted);
    }
    Ok(())
}
