//! Options and steps of `caf-export onnx --precision`.

use super::gate::{LimitArguments, tell};
use super::parse;
use anyhow::{Context, bail};
use caf_console::{Paths, out};
use caf_contract::{Contract, Precision};
use caf_engine::{Engine, EngineOptions};
use caf_export::ExportError;
use caf_export::model::Model;
use caf_export::precision::{Activations, Method, Plan};
use caf_export::reduce::{
    Choice, Cpu, Frames, Int8Choice, Limits, Reduction, Targets, Verdict, Watch, half, int8, measure, page,
};
use caf_export::verify::{Named, random_inputs};
use caf_geometry::Size;
use clap::Args;
use std::collections::HashSet;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(next_help_heading = "Precision")]
pub(crate) struct ReduceArguments {
    /// What the nodes compute in: fp32, fp16 (layers that lose too much stay in fp32), or int8, which needs --calibration [default: fp32]
    #[arg(long, value_parser = parse::precision)]
    precision: Option<Precision>,
    /// A data set of real pairs: ranges of integers are collected, and layers chosen, on them.
    #[arg(long, value_name = "DIR")]
    calibration: Option<PathBuf>,
    /// Only the pairs of this list in it.
    #[arg(long, value_name = "LIST", requires = "calibration")]
    calibration_list: Option<PathBuf>,
    /// Calibrate on so many pairs, those that differ most in brightness and contrast [default: 32]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    frames: Option<u32>,
    /// How the range of a tensor is chosen: minmax, percentile, entropy or mse [default: mse]
    #[arg(long)]
    method: Option<Method>,
    /// The processor that integers are for: vnni, avx2 (weights of 7 bits, for its sums of 16 bits), or auto: this one [default: auto]
    #[arg(long)]
    cpu: Option<Cpu>,
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
    /// Layers are measured on so many pairs of the calibration set [default: 3]
    #[arg(long, value_name = "N", requires = "calibration", value_parser = clap::value_parser!(u32).range(1..=1000))]
    choose_on: Option<u32>,
    /// Timed runs of each choice of layers; 0 leaves the time out [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    rounds: Option<u32>,
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

/// Pairs that are calibrated on, and those of them that layers are measured on, where nobody says.
const FRAMES: u32 = 32;
const CHOOSE_ON: u32 = 3;
/// Timed runs of each choice where nobody says.
const ROUNDS: u32 = 5;
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
        Some(self.precision()).filter(|precision| *precision != Precision::Fp32 && self.held_out.is_none())
    }

    fn precision(&self) -> Precision {
        self.precision.unwrap_or_default()
    }

    /// How many held-out pairs the calibration set has too, when there are any. Equal names in two folders are of two scenes.
    fn shared(&self, calibration: Option<&Frames>, held_out: &Frames) -> Option<usize> {
        let root = |path: &Option<PathBuf>| path.as_ref().and_then(|path| path.canonicalize().ok());
        let calibration = calibration.filter(|_| root(&self.calibration) == root(&self.held_out))?;
        let names: HashSet<&str> = calibration.names().collect();
        Some(held_out.names().filter(|name| names.contains(name)).count()).filter(|count| *count > 0)
    }

    /// What a model may lose.
    pub(super) fn limits(&self, precision: Precision, contract: &Contract) -> Result<Limits, ExportError> {
        self.limits.check(contract)?;
        Ok(self.limits.of(precision))
    }

    pub(super) fn paths(&self, paths: Paths) -> Paths {
        let sets = [
            ("--calibration", &self.calibration, "--calibration-list", &self.calibration_list),
            ("--held-out", &self.held_out, "--held-out-list", &self.held_out_list),
        ];
        let paths = sets.into_iter().fold(paths, |paths, (option, root, list_option, list)| match root.as_deref() {
            Some(root) => paths.data_set(option, root).list(list_option, root, list.as_deref()),
            None => paths,
        });
        paths.writes("--html", self.html.as_deref())
    }

    /// Every option, whether it was given, and the precisions of models made here that it has an effect on; `None` is a model that is
    /// there already.
    fn effects(&self) -> [(&'static str, bool, &'static [Option<Precision>]); 14] {
        use Precision::{Fp16, Fp32, Int8};
        const MADE: &[Option<Precision>] = &[Some(Fp32), Some(Fp16), Some(Int8)];
        const LESS: &[Option<Precision>] = &[Some(Fp16), Some(Int8)];
        const INTEGERS: &[Option<Precision>] = &[Some(Int8)];
        const MEASURED: &[Option<Precision>] = &[None, Some(Fp16), Some(Int8)];
        [
            ("--precision", self.precision.is_some(), MADE),
            ("--calibration", self.calibration.is_some(), LESS),
            ("--frames", self.frames.is_some(), INTEGERS),
            ("--method", self.method.is_some(), INTEGERS),
            ("--cpu", self.cpu.is_some(), INTEGERS),
            ("--signed", self.signed, INTEGERS),
            ("--keep", !self.keep.is_empty(), LESS),
            ("--image-db", self.image_db.is_some(), LESS),
            ("--task-db", self.task_db.is_some(), LESS),
            ("--choose-on", self.choose_on.is_some(), LESS),
            ("--rounds", self.rounds.is_some(), INTEGERS),
            ("--held-out", self.held_out.is_some(), MEASURED),
            ("--html", self.html.is_some(), LESS),
            // What is measured without --held-out is said below.
            ("a limit of the loss", self.limits.given(), MEASURED),
        ]
    }

    /// Refuses options without effect on a model that is there already.
    pub(super) fn check_given(&self) -> Result<(), ExportError> {
        self.check_effects(None)
    }

    fn check_effects(&self, precision: Option<Precision>) -> Result<(), ExportError> {
        let idle = self.effects().into_iter().find(|(_, given, on)| *given && !on.contains(&precision));
        if let Some((option, ..)) = idle {
            let what = precision.map_or("that is there already".to_owned(), |p| format!("in {}", p.name()));
            return Err(ExportError::settings(format!("{option} has no effect on a model {what}")));
        }
        if self.limits.given() && self.held_out.is_none() {
            return Err(ExportError::settings("a limit was given, and nothing is measured without --held-out DIR"));
        }
        Ok(())
    }

    /// Refuses options without effect on a model that is made here, and integers without pairs.
    pub(super) fn check(&self, folds: bool) -> Result<(), ExportError> {
        self.check_effects(Some(self.precision()))?;
        if self.precision() != Precision::Fp32 && !folds {
            let what = "--precision fp16 and int8 need folded normalisations: leave --no-fold out";
            return Err(ExportError::settings(what));
        }
        if self.precision() == Precision::Int8 && self.calibration.is_none() {
            return Err(ExportError::settings("--precision int8 needs --calibration DIR, a data set of real pairs"));
        }
        Ok(())
    }

    /// Refuses targets for outputs that the model has not.
    fn check_targets(&self, contract: &Contract) -> Result<(), ExportError> {
        let idle = [
            ("--image-db", self.image_db.is_some() && !contract.fuses(), "has no fused image"),
            ("--task-db", self.task_db.is_some() && contract.tasks.is_empty(), "has no task"),
        ];
        match idle.into_iter().find(|(_, idle, _)| *idle) {
            Some((option, _, why)) => Err(ExportError::settings(format!("{option} has no effect: the model {why}"))),
            None => Ok(()),
        }
    }

    fn choice(&self) -> Choice {
        // A fused image of the published network has the SSIM of 0.98 that the gate asks for at about 43 dB.
        let [image_db, task_db] = if self.precision() == Precision::Int8 { [43.0, 25.0] } else { [55.0, 40.0] };
        let targets = Targets { image_db: self.image_db.unwrap_or(image_db), task_db: self.task_db.unwrap_or(task_db) };
        Choice { keep: self.keep.clone(), targets, rounds: self.rounds.unwrap_or(ROUNDS) as usize }
    }

    /// The plan for a model and what it costs; none in single precision. Says what it finds.
    ///
    /// The loss beyond its limits is an error after report and page were written.
    pub(super) fn reduce(&self, model: &Model, watch: Watch<'_>) -> anyhow::Result<Option<Reduction>> {
        let contract = model.contract();
        self.check_targets(contract)?;
        let limits = self.limits(self.precision(), contract)?;
        let choose_on = self.choose_on.unwrap_or(CHOOSE_ON);
        let open = |dir: &PathBuf| Frames::open(dir, self.calibration_list.as_deref(), contract);
        let calibration = self.calibration.as_ref().map(open).transpose()?;
        let held_out = self.held_out(contract)?;
        let chosen = |count: u32| calibration.as_ref().map(|frames| frames.representative(count as usize)).transpose();
        let mut reduction = match (self.precision(), &calibration) {
            (Precision::Fp32, _) => return Ok(None),
            (Precision::Fp16, frames) => {
                let probes: Vec<Named> = match (frames, chosen(choose_on)?) {
                    (Some(frames), Some(indices)) => {
                        let load = |i: usize| Ok(frames.load_middle(i, PROBE)?.inputs);
                        indices.into_iter().map(load).collect::<Result<_, ExportError>>()?
                    }
                    _ => vec![random_inputs(contract, PROBE, 1, SEED)?.0],
                };
                half(model, &probes, &self.choice(), watch)?
            }
            (Precision::Int8, Some(frames)) => {
                let activations = if self.signed { Activations::S8 } else { Activations::U8 };
                let (cpu, method) = (self.cpu.unwrap_or_else(Cpu::here), self.method.unwrap_or_default());
                let settings = cpu.settings(activations);
                let how = Int8Choice { method, settings, probes: choose_on as usize, probe_size: PROBE };
                let indices = chosen(self.frames.unwrap_or(FRAMES))?.unwrap_or_default();
                let (count, all, most) = (indices.len(), frames.count(), settings.most_weight);
                out!(
                    "integers for {cpu}: weights from -{most} to {most}, ranges by {method} on {count} of {all} pairs"
                )?;
                int8(model, frames, &indices, how, &self.choice(), watch)?
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
            let loss = measure(contract, &mut single, &mut reduced, frames, watch.progress)?;
            tell(&loss)?;
            reduction.verdict = Some(Verdict::new(loss, limits, contract));
        }
        watch.check()?;
        if let Some(path) = &self.html {
            let name = reduction.precision.name();
            caf_file::write(path, page(&format!("Model in {name}"), &reduction).as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Some(reduction))
    }
}
