//! `caf-run fuse`.

use std::path::PathBuf;

use anyhow::Context as _;
use caf_console::{Console, Interrupted, Progress as _, StopFlag, claim, out, say, write_json};
use caf_runtime::error::RuntimeError;
use caf_runtime::fuse::{Existing, FuseConfig, run};
use caf_runtime::fusion::FusionSettings;
use clap::Args;

use super::vehicle::{DetectorArgs, ModelArgs, WithOrigin};

/// Fuse the images of two folders, matched by their names.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  caf-run fuse --model pipeline.onnx --ir set/ir --vi set/vi --out fused \\
    --detections fused.jsonl --draw
  caf-run fuse --bundle vehicle --public-key public.pem --ir set/ir \\
    --vi set/vi --out fused")]
pub struct FuseArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Folder of infrared images, 8 or 16 bits.
    #[arg(long, value_name = "DIR")]
    ir: PathBuf,
    /// Folder of visible images.
    #[arg(long, value_name = "DIR")]
    vi: PathBuf,
    /// Folder for the fused images, NAME.png.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What the tasks find, one JSON object per image and line; not with --resume, which would leave out the images that are
    /// there already.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    detections: Option<PathBuf>,
    /// Folder for the class maps of a model that segments, NAME.png: gray, each pixel the number of its class; not with --resume.
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    class_maps: Option<PathBuf>,
    /// Paint boxes and labels, and class maps half through, into the images.
    #[arg(long)]
    draw: bool,
    /// Keep images that are there already and make the others; refused where another model made them.
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Write images anew that are there already. Without this and --resume they are an error.
    #[arg(long)]
    overwrite: bool,
    /// Leave out images that do not fit or cannot be read, fuse the rest, list them at the end (exit code 1).
    #[arg(long)]
    keep_going: bool,
    #[command(flatten)]
    detector: DetectorArgs,
    /// Report for machines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl FuseArgs {
    pub fn run(self) -> anyhow::Result<()> {
        let paths = self.model.paths().folder("--ir", self.ir.as_path()).folder("--vi", self.vi.as_path());
        let paths = paths.fills("--out", self.out.as_path()).writes("--detections", self.detections.as_deref());
        let paths = paths.fills("--class-maps", self.class_maps.as_deref());
        paths.writes("--json", self.json.as_deref()).check()?;
        claim(self.json.as_deref())?;
        let mut vehicle = self.model.load()?;
        let nms = self.detector.settings(&mut vehicle);
        if vehicle.rig.is_some() {
            say!("the images of the two folders are taken as aligned: the bundle's rig is for live cameras");
        }
        let out = self.out.display().to_string();
        let config = FuseConfig {
            model: vehicle.model_sha256,
            ir: self.ir,
            vi: self.vi,
            out: self.out,
            detections: self.detections,
            class_maps: self.class_maps,
            existing: Existing::of_options(self.resume, self.overwrite),
            keep_going: self.keep_going,
            fusion: FusionSettings { nms, draw: self.draw, ..FusionSettings::default() },
        };
        let (console, mut begun) = (Console::default(), false);
        let stop = StopFlag::on_signals().context("interrupts cannot be caught")?;
        let report = run(vehicle.model, &config, &|| stop.is_raised(), &mut |done, total| {
            if !std::mem::replace(&mut begun, true) {
                console.begin("fuse", total as u64, 0);
            }
            console.advance(done as u64, "");
        });
        console.end();
        let report = report?;
        let some = |count: usize, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
        let times = match report.fused {
            0 => String::new(),
            _ => format!(
                "; inference p50 {:.1} ms, p95 {:.1} ms on {}",
                report.infer.p50_ms,
                report.infer.p95_ms,
                report.provider.name()
            ),
        };
        let has_more = config.detections.is_some() || config.class_maps.is_some();
        let stopped = match (report.stopped, has_more) {
            (false, _) => "",
            (true, false) => "stopped; --resume goes on: ",
            (true, true) => "stopped; --overwrite begins anew, for the images there have no detections or class maps: ",
        };
        out!(
            "{stopped}{} written{}{}{}{times}: {out}",
            report.fused,
            some(report.skipped, "there already"),
            some(report.left_out.len(), "left out"),
            report.detections.map_or_else(String::new, |count| format!(", {count} detections")),
        )?;
        write_json(self.json.as_deref(), &WithOrigin::new(&report, &vehicle.origin))?;
        if report.stopped {
            return Err(Interrupted.into());
        }
        match report.left_out {
            offenders if offenders.is_empty() => Ok(()),
            offenders => Err(RuntimeError::Offenders { offenders }.into()),
        }
    }
}
