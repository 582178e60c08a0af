//! `caf-export onnx`

use super::parse::{self, Batch};
use anyhow::Context;
use caf_console::{Paths, claim, out, tell_notes, write_json};
use caf_contract::Contract;
use caf_export::ExportError;
use caf_export::model::{FusionFile, Model, Parts, Settings, TaskFile};
use caf_net::zoo::pipeline::{ColourMode, Samples};
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
    --task-size 640x480 -o model.onnx")]
pub(crate) struct OnnxArguments {
    /// Weights of the fusion network: safetensors, or an original checkpoint.
    #[arg(long, required_unless_present = "tasks")]
    fusion: Option<PathBuf>,
    /// Weights of a task network that sees the fused image: a detector, or a segmentation; safetensors, or an original checkpoint.
    /// May be given once for each task.
    #[arg(long = "task", value_name = "TASK")]
    tasks: Vec<PathBuf>,
    /// Class names of the one task network, one a line; otherwise those in the task file's metadata.
    #[arg(long, requires = "tasks")]
    classes: Option<PathBuf>,
    /// Images are exactly this large, which TensorRT needs; otherwise any size.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<caf_geometry::Size>,
    /// The detector sees the image fitted into exactly this, in multiples of 32; otherwise its training size. The nearer its
    /// proportions are to the images', the less is computed on the border.
    #[arg(long, requires = "tasks", value_name = "WIDTHxHEIGHT")]
    task_size: Option<caf_geometry::Size>,
    /// Images at once, or `any`.
    #[arg(long, default_value = "1", value_parser = parse::batch)]
    batch: Batch,
    /// Floats in [0, 1] laid out NCHW in and out, instead of bytes laid out NHWC.
    #[arg(long)]
    float: bool,
    /// A gray visible image in, a gray fused image out, instead of colour.
    #[arg(long)]
    gray: bool,
    /// Keep normalisations apart from convolutions.
    #[arg(long)]
    no_fold: bool,
    /// The file to write.
    #[arg(short, long)]
    output: PathBuf,
    /// Also write a report for machines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct Report<'a> {
    output: &'a PathBuf,
    bytes: usize,
    folded: bool,
    parameters: usize,
    contract: &'a Contract,
}

pub(crate) fn run(arguments: &OnnxArguments) -> anyhow::Result<()> {
    let paths = Paths::default().file("--fusion", arguments.fusion.as_deref());
    let paths = arguments.tasks.iter().fold(paths, |paths, task| paths.file("--task", task.as_path()));
    let paths = paths.file("--classes", arguments.classes.as_deref()).writes("--output", arguments.output.as_path());
    paths.writes("--json", arguments.json.as_deref()).check()?;
    claim(arguments.json.as_deref())?;
    let fusion = arguments.fusion.as_deref().map(FusionFile::open).transpose()?;
    let classes = arguments.classes.as_deref().map(parse::class_names).transpose()?;
    if classes.is_some() && arguments.tasks.len() > 1 {
        let what =
            format!("--classes: expected one --task, found {}, whose files name their classes", arguments.tasks.len());
        return Err(ExportError::settings(what).into());
    }
    let open = |path: &PathBuf| TaskFile::open(path, classes.as_deref());
    let tasks = arguments.tasks.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    fusion.iter().for_each(|file| tell_notes(file.path(), file.notes()));
    tasks.iter().for_each(|file| tell_notes(file.path(), file.notes()));
    let parts = match (&fusion, tasks.as_slice()) {
        (Some(fusion), []) => Parts::Fusion(fusion),
        (Some(fusion), tasks) => Parts::Pipeline(fusion, tasks),
        (None, tasks) => Parts::Tasks(tasks),
    };
    let settings = Settings {
        samples: if arguments.float { Samples::Unit } else { Samples::Bytes },
        colour: if arguments.gray { ColourMode::Gray } else { ColourMode::Rgb },
        size: arguments.size,
        batch: arguments.batch.0,
        task_size: arguments.task_size,
    };
    let model = Model::new(parts, &settings)?;
    let bytes = model.to_onnx(!arguments.no_fold).context("cannot write the graph as ONNX")?;
    caf_file::write(&arguments.output, &bytes)
        .with_context(|| format!("cannot write {}", arguments.output.display()))?;
    let report = Report {
        output: &arguments.output,
        bytes: bytes.len(),
        folded: !arguments.no_fold,
        parameters: model.graph().trainable_count(),
        contract: model.contract(),
    };
    write_json(arguments.json.as_deref(), &report)?;
    if let Some(fusion) = &fusion {
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
