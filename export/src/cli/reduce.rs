//! Options and steps of `caf-export onnx --precision`.

use super::gate::{LimitArguments, tell};
use super::parse;
use anyhow::{Context, bail};
use caf_console::{Console, Paths, out};
use caf_contract::{Contract, Precision};
use caf_engine::{Engine, EngineOptions};
use caf_export::ExportError;
use caf_export::model::Model;
use caf_export::precision::{Activations, Method, Plan};
use caf_export::reduce::{
    Choice, Cpu, Frames, Int8Choice, Limits, Reduction, Targets, Verdict, half, int8, measure, page,
};
use caf_export::verify::{Named, random_inputs};
use caf_geometry::Size;
use clap::Args;
use std::collections::HashSet;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(next_help_heading = "Precision")]
pub(crate) struct ReduceArguments {
    /// What the nodes compute in: fp32, fp16 (layers that lose too much stay in fp32), or int8, which needs --calibration.
    #[arg(long, default_value = "fp32", value_parser = parse::precision)]
    precision: Precision,
    /// A data set of real pairs: ranges of integers are collected, and layers chosen, on them.
    #[arg(long, value_name = "DIR")]
    calibration: Option<PathBuf>,
    /// Only the pairs of this list in it.
    #[arg(long, value_name = "LIST", requires = "calibration")]
    calibration_list: Option<PathBuf>,
    /// Calibrate on so many pairs, those that differ most in brightness and contrast.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    frames: u32,
    /// How the range of a tensor is chosen: minmax, percentile, entropy or mse.
    #[arg(long, default_value_t)]
    method: Method,
    /// The processor that integers are for: vnni, avx2 (weights of 7 bits, for its sums of 16 bits), or auto: this one.
    #[arg(long, default_value = "auto")]
    cpu: Cpu,
    /// Activations as signed integers with zero in the middle, as TensorRT takes them.
    #[arg(long)]
    signed: bool,
    /// Layers whose names begin so stay in fp32; may be given several times.
    #[arg(long, value_name = "NAME")]
    keep: Vec<String>,
    /// Layers stay in fp32 so that the fused images of the probe frames are at least so near to fp32, in dB [fp16: 55, int8: 43].
    #[arg(long, value_name = "DB", value_parser = parse::tolerance)]
    image_db: Option<f64>,
    /// The same for the outputs of tasks [fp16: 40, int8: 25].
    #[arg(long, value_name = "DB", value_parser = parse::tolerance)]
    task_db: Option<f64>,
    /// Layers are measured on so many pairs.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    choose_on: u32,
    /// Timed runs of each choice of layers; 0 leaves the time out.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1000))]
    rounds: u32,
    /// A data set of pairs that no choice was made on: the loss is measured on them, and beyond its limits nothing is written.
    #[arg(long, value_name = "DIR")]
    held_out: Option<PathBuf>,
    /// Only the pairs of this list in it.
    #[arg(long, value_name = "LIST", requires = "held_out")]
    held_out_list: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArguments,
    /// Also write layers, ranges and loss as a page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Part of a probe frame that layers are measured on.
const PROBE: Size = Size::new(320, 256);
/// Seed of the random images that stand for pairs where none are given.
const SEED: u64 = 0;

impl ReduceArguments {
    /// The held-out pairs, for a model with this contract.
    pub(super) fn held_out(&self, contract: &Contract) -> Result<Option<Frames>, ExportError> {
        let open = |dir: &PathBuf| Frames::open(dir, self.held_out_list.as_deref(), contract);
        self.held_out.as_ref().map(open).transpose()
    }

    /// The precision asked for, when it is less than fp32 and no pairs are given that its loss could be measured on.
    pub(super) fn unmeasured(&self) -> Option<Precision> {
        (self.precision != Precision::Fp32 && self.held_out.is_none()).then_some(self.precision)
    }

    /// How many held-out pairs the calibration set has too, when there are any. Equal names in two folders are of two scenes.
    fn shared(&self, calibration: Option<&Frames>, held_out: &Frames) -> Option<usize> {
        let root = |path: &Option<PathBuf>| path.as_ref().and_then(|path| path.canonicalize().ok());
        let calibration = calibration.filter(|_| root(&self.calibration) == root(&self.held_out))?;
        let names: HashSet<&str> = calibration.names().collect();
        Some(held_out.names().filter(|name| names.contains(name)).count()).filter(|count| *count > 0)
    }

    /// What a model of this precision may lose.
    pub(super) fn limits(&self, precision: Precision) -> Limits {
        self.limits.of(precision)
    }

    pub(super) fn paths(&self, paths: Paths) -> Paths {
        let paths = paths.folder("--calibration", self.calibration.as_deref());
        paths.folder("--held-out", self.held_out.as_deref()).writes("--html", self.html.as_deref())
    }

    /// Refuses options without effect, and integers without pairs.
    pub(super) fn check(&self, folds: bool) -> Result<(), ExportError> {
        let given = |options: &[(&str, bool)]| -> Option<String> {
            options.iter().find(|(_, given)| *given).map(|(name, _)| (*name).to_owned())
        };
        let always = [("--held-out", self.held_out.is_some()), ("--html", self.html.is_some())];
        let reduced = [("--calibration", self.calibration.is_some()), ("--keep", !self.keep.is_empty())];
        if self.limits.given() && self.held_out.is_none() {
            return Err(ExportError::settings("a limit was given, and nothing is measured without --held-out DIR"));
        }
        if self.precision != Precision::Fp32 && !folds {
            let what = "--precision fp16 and int8 need folded normalisations: leave --no-fold out";
            return Err(ExportError::settings(what));
        }
        let alone = match self.precision {
            Precision::Fp32 => given(&always).or(given(&reduced)).or(given(&[("--signed", self.signed)])),
            Precision::Fp16 => given(&[("--signed", self.signed)]),
            Precision::Int8 if self.calibration.is_none() => {
                return Err(ExportError::settings(
                    "--precision int8 needs --calibration DIR, a data set of real pairs",
                ));
            }
            Precision::Int8 => None,
        };
        match alone {
            Some(option) => Err(ExportError::settings(format!("{option} has no effect on a model of this precision"))),
            None => Ok(()),
        }
    }

    fn choice(&self) -> Choice {
        // A fused image of the published network has the SSIM of 0.98 that the gate asks for at about 43 dB.
        let [image_db, task_db] = if self.precision == Precision::Int8 { [43.0, 25.0] } else { [55.0, 40.0] };
        let targets = Targets { image_db: self.image_db.unwrap_or(image_db), task_db: self.task_db.unwrap_or(task_db) };
        Choice { keep: self.keep.clone(), targets, rounds: self.rounds as usize }
    }

    /// The plan for a model and what it costs; none in single precision. Says what it finds.
    ///
    /// The loss beyond its limits is an error after report and page were written.
    pub(super) fn reduce(&self, model: &Model) -> anyhow::Result<Option<Reduction>> {
        let console = Console::default();
        let contract = model.contract();
        let open = |dir: &PathBuf| Frames::open(dir, self.calibration_list.as_deref(), contract);
        let calibration = self.calibration.as_ref().map(open).transpose()?;
        let held_out = self.held_out(contract)?;
        let chosen = |count: u32| calibration.as_ref().map(|frames| frames.representative(count as usize)).transpose();
        let mut reduction = match (self.precision, &calibration) {
            (Precision::Fp32, _) => return Ok(None),
            (Precision::Fp16, frames) => {
                let probes: Vec<Named> = match (frames, chosen(self.choose_on)?) {
                    (Some(frames), Some(indices)) => {
                        let load = |i: usize| Ok(frames.load_middle(i, PROBE)?.inputs);
                        indices.into_iter().map(load).collect::<Result<_, ExportError>>()?
                    }
                    _ => vec![random_inputs(contract, PROBE, 1, SEED)?.0],
                };
                half(model, &probes, &self.choice(), &console)?
            }
            (Precision::Int8, Some(frames)) => {
                let activations = if self.signed { Activations::S8 } else { Activations::U8 };
                let settings = self.cpu.settings(activations);
                let how =
                    Int8Choice { method: self.method, settings, probes: self.choose_on as usize, probe_size: PROBE };
                let indices = chosen(self.frames)?.unwrap_or_default();
                let (count, all, most) = (indices.len(), frames.count(), settings.most_weight);
                out!(
                    "integers for {}: weights from -{most} to {most}, ranges by {} on {count} of {all} pairs",
                    self.cpu,
                    self.method
                )?;
                int8(model, frames, &indices, how, &self.choice(), &console)?
            }
            (Precision::Int8, None) => return Ok(None),
        };
        let (less, kept) = (reduction.layers.len(), reduction.kept.len());
        out!("{less} layers in {}, {kept} in fp32", reduction.precision.name())?;
        for kept in &reduction.kept {
            out!("  fp32: {} ({})", kept.layer, kept.why)?;
        }
        if less == 0 {
            let name = reduction.precision.name();
            bail!("no layer is left in {name}: loosen --keep, --image-db or --task-db, or leave --precision out");
        }
        if let Some(frames) = &held_out {
            if let Some(shared) = self.shared(calibration.as_ref(), frames) {
                out!(
                    "NOTE: {shared} of {} held-out pairs are of the calibration set: on others more may be lost",
                    frames.count()
                )?;
            }
            let open = |name: &str, plan: &Plan| {
                anyhow::Ok(Engine::from_bytes(name, &model.to_onnx_as(true, plan)?, EngineOptions::CPU)?)
            };
            let (mut single, mut reduced) =
                (open("the model in fp32", &Plan::Single)?, open("the reduced model", &reduction.measured_plan)?);
            let loss = measure(contract, &mut single, &mut reduced, frames, &console)?;
            tell(&loss)?;
            reduction.verdict = Some(Verdict::new(loss, self.limits(reduction.precision), contract));
        }
        if let Some(path) = &self.html {
            let name = reduction.precision.name();
            caf_file::write(path, page(&format!("Model in {name}"), &reduction).as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Some(reduction))
    }
}
