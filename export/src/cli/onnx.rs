//! `caf-export onnx`

use super::gate::refuse;
use super::reduce::ReduceArguments;
use super::weights::WeightArguments;
use anyhow::Context;
use caf_console::{Console, Paths, StopFlag, claim, out, write_json};
use caf_contract::Contract;
use caf_export::precision::Plan;
use caf_export::reduce::{Reduction, Watch};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  caf-export onnx --fusion fusion.safetensors -o fusion.onnx
  caf-export onnx --fusion fusion.safetensors --task task.safetensors \\
    -o model.onnx
  caf-export onnx --fusion fusion.safetensors --task detector.safetensors \\
    --task segmenter.safetensors -o model.onnx
  caf-export onnx --fusion det_final.pth --task yolov5n.pt --size 640x480 \\
    --task-size 640x480 -o model.onnx
  caf-export onnx --fusion fusion.safetensors --precision fp16 -o fp16.onnx
  caf-export onnx --fusion fusion.safetensors --task task.safetensors \\
    --precision int8 --calibration pairs --calibration-list train.txt \\
    --held-out pairs --held-out-list val.txt --html loss.html -o int8.onnx")]
pub(crate) struct OnnxArguments {
    #[command(flatten)]
    weights: WeightArguments,
    /// The file to write.
    #[arg(short, long)]
    output: PathBuf,
    /// Also write a report for machines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    reduce: ReduceArguments,
}

#[derive(serde::Serialize)]
struct Report<'a> {
    output: &'a PathBuf,
    bytes: usize,
    folded: bool,
    parameters: usize,
    contract: &'a Contract,
    /// How the precision was reduced and what was lost.
    reduction: Option<&'a Reduction>,
}

pub(crate) fn run(arguments: &OnnxArguments) -> anyhow::Result<()> {
    let paths = arguments.weights.paths(Paths::default()).writes("--output", arguments.output.as_path());
    arguments.reduce.paths(paths.writes("--json", arguments.json.as_deref())).check()?;
    let folded = arguments.weights.folds();
    arguments.reduce.check(folded)?;
    claim(arguments.json.as_deref())?;
    let opened = arguments.weights.open()?;
    let model = arguments.weights.model(&opened)?;
    let (console, stop) = (Console::default(), StopFlag::on_signals()?);
    let watch = Watch { progress: &console, stop: &stop };
    let reduction = arguments.reduce.reduce(&model, watch)?;
    let plan = reduction.as_ref().map_or(Plan::Single, |reduction| reduction.plan.clone());
    let bytes = model.to_onnx_as(folded, &plan).context("cannot write the graph as ONNX")?;
    let report = Report {
        output: &arguments.output,
        bytes: bytes.len(),
        folded,
        parameters: model.graph().trainable_count(),
        contract: &Contract { precision: plan.precision(), ..model.contract().clone() },
        reduction: reduction.as_ref(),
    };
    watch.check()?;
    write_json(arguments.json.as_deref(), &report)?;
    if let Some(verdict) = reduction.as_ref().and_then(|reduction| reduction.verdict.as_ref()) {
        refuse(verdict, &arguments.output)?;
    }
    caf_file::write(&arguments.output, &bytes)
        .with_context(|| format!("cannot write {}", arguments.output.display()))?;
    if let Some(fusion) = &opened.fusion {
        out!("fusion network: {}", fusion.network())?;
    }
    let (parameters, bytes) = (report.parameters, report.bytes);
    out!("{}: {parameters} parameters, {bytes} bytes", arguments.output.display())?;
    for (direction, ports) in [("input ", &model.contract().inputs), ("output", &model.contract().outputs)] {
        for port in ports {
            out!("  {direction} {port}")?;
        }
    }
    Ok(())
}
