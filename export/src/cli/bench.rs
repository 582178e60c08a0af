//! `caf-export bench`

use caf_console::{Console, Paths, Progress as _, StopFlag, claim, out, write_json};
use caf_contract::{INPUT_IMAGE, OUTPUT_FUSED};
use caf_engine::{Engine, EngineOptions};
use caf_export::ExportError;
use caf_export::reduce::{Chain, Timed, Watch, alternate};
use caf_export::verify::{random_inputs, seen_by_task};
use caf_geometry::Size;
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  caf-export bench fp32.onnx fp16.onnx int8.onnx fusion.onnx+task.onnx \\
    --size 640x480

Models run in turn, so that what else the machine does meets all alike; ratios
are against the first. Models joined by + run one after the other, the second on
what the first has fused.")]
pub(crate) struct BenchArguments {
    /// Models, or several joined by +.
    #[arg(required = true)]
    models: Vec<String>,
    /// Size of the images where a model leaves it open.
    #[arg(long, default_value = "640x480", value_name = "WIDTHxHEIGHT")]
    size: Size,
    /// Timed runs of each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
    /// Threads of one operator.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Also write a report for machines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct Row<'a> {
    models: &'a str,
    precisions: Vec<&'static str>,
    #[serde(flatten)]
    timed: Timed,
    /// Least time of the first over this one's: other work on the machine only ever lengthens times.
    times_as_fast: f64,
}

/// Seed of the images.
const SEED: u64 = 0;

pub(crate) fn run(arguments: &BenchArguments) -> anyhow::Result<()> {
    let parts: Vec<Vec<&Path>> = arguments.models.iter().map(|m| m.split('+').map(Path::new).collect()).collect();
    let paths = parts.iter().flatten().fold(Paths::default(), |paths, path| paths.file("MODEL", *path));
    paths.writes("--json", arguments.json.as_deref()).check()?;
    claim(arguments.json.as_deref())?;
    let options = EngineOptions { threads: arguments.threads.map(usize::from), ..EngineOptions::CPU };
    let mut chains = Vec::with_capacity(parts.len());
    let mut precisions = Vec::with_capacity(parts.len());
    for part in &parts {
        let mut names = Vec::with_capacity(part.len());
        let mut chain = Chain::with_capacity(part.len());
        for path in part {
            let engine = Engine::open(path, options)?;
            let contract = engine.contract()?;
            let inputs = match chain.last_mut() {
                None => random_inputs(&contract, arguments.size, 1, SEED)?.0,
                Some((before, inputs)) => {
                    let outputs = before.run(inputs)?;
                    let fused = outputs.iter().find(|(name, _)| name == OUTPUT_FUSED);
                    let seen = fused
                        .and_then(|(_, image)| seen_by_task(image))
                        .filter(|_| contract.input(INPUT_IMAGE).is_ok());
                    let what = || {
                        let what = format!("{}: expected a model of a task behind one that fuses", path.display());
                        ExportError::settings(what)
                    };
                    vec![(INPUT_IMAGE.to_owned(), seen.ok_or_else(what)?)]
                }
            };
            names.push(contract.precision.name());
            chain.push((engine, inputs));
        }
        chains.push(chain);
        precisions.push(names);
    }
    let (console, stop) = (Console::default(), StopFlag::on_signals()?);
    console.begin("time models", arguments.rounds.into(), 0);
    let timed = alternate(&mut chains, arguments.rounds as usize, Watch { progress: &console, stop: &stop })?;
    console.end();
    let first_ms = timed.first().map_or(f64::NAN, |t| t.min_ms);
    let rows: Vec<Row<'_>> = (arguments.models.iter().zip(precisions).zip(timed))
        .map(|((models, precisions), timed)| Row { models, precisions, times_as_fast: first_ms / timed.min_ms, timed })
        .collect();
    write_json(arguments.json.as_deref(), &rows)?;
    for Row { models, precisions, timed, times_as_fast } in &rows {
        let Timed { min_ms, median_ms, runs } = timed;
        out!(
            "{models} ({}): median {median_ms:.1} ms, least {min_ms:.1} ms of {runs} runs; {times_as_fast:.2} times as fast as the first",
            precisions.join(", ")
        )?;
    }
    Ok(())
}
