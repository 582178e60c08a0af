//! `caf-export bundle`

use super::compared::{far, tell};
use super::gate::{refuse, tell as tell_loss};
use super::rebuild::rebuild;
use super::reduce::ReduceArguments;
use super::weights::WeightArguments;
use anyhow::{Context, bail};
use caf_bundle::{
    Bundle, BundleError, Existing, MOST_DETECTIONS, MeasuredLoss, ProbeSet, PublicKey, SecretKey, Thresholds,
};
use caf_console::{Console, Paths, StopFlag, claim, out, positive, unit, write_json};
use caf_contract::{Contract, Precision};
use caf_engine::{Engine, EngineOptions, library};
use caf_export::bundle::{Contents, data_name, draft, model_name};
use caf_export::distance::Compared;
use caf_export::model::Model;
use caf_export::precision::Plan;
use caf_export::probes::{Inputs, compare, computed, generated, of_pairs};
use caf_export::reduce::{Reduction, Verdict, Watch, measure};
use caf_export::{ExportError, external};
use caf_geometry::Size;
use caf_rig::Geometry;
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openssl genpkey -algorithm ed25519 -out secret.pem
  openssl pkey -in secret.pem -pubout -out public.pem
  caf-export bundle --fusion fusion.safetensors --task task.safetensors \\
    --rig rig.toml --beta beta.toml --run config.toml --probe-ir val/ir \\
    --probe-vi val/vi --key secret.pem -o vehicle
  caf-export bundle --model model.onnx --fusion fusion.safetensors -o vehicle
  caf-export bundle --model int8.onnx --fusion fusion.safetensors \\
    --held-out pairs --held-out-list val.txt -o vehicle

The bundle holds images and what the weights make of them: computed by the same
weights, not folded, on the CPU without any optimisation of the graph; or by
whatever made the file of --probes. The model must agree with it before the
bundle is written, and wherever `caf-export verify --bundle` is run later.")]
pub(crate) struct BundleArguments {
    #[command(flatten)]
    weights: WeightArguments,
    /// A model that is there already, in place of one made of the weights. Weights beside it are what it must have been made of;
    /// without them --probes says what it should compute.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["settings", "classes", "external_data"])]
    model: Option<PathBuf>,
    /// Geometry of the two cameras.
    #[arg(long, value_name = "FILE")]
    rig: Option<PathBuf>,
    /// Distance in metres at which the aligned images match best, for a rig that holds the cameras' pose.
    #[arg(long, value_name = "M", value_parser = positive, requires = "rig")]
    rig_distance_m: Option<f64>,
    #[command(flatten)]
    thresholds: ThresholdArguments,
    /// The result of the search that the loss came from.
    #[arg(long, value_name = "FILE")]
    beta: Option<PathBuf>,
    /// The record of the run that trained the network, such as its config.toml.
    #[arg(long, value_name = "FILE")]
    run: Option<PathBuf>,
    #[command(flatten)]
    probes: ProbeArguments,
    /// Put the weights into a file of their own beside the ONNX file.
    #[arg(long)]
    external_data: bool,
    /// Sign the bundle with this ed25519 key: PEM, or 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The folder to write.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Replace a bundle that is there already.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    reduce: ReduceArguments,
    /// Also write a report for machines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What counts as a detection on the vehicle.
#[derive(Debug, Args)]
struct ThresholdArguments {
    /// Least score of a detection, 0 to 1 [default: 0.25]
    #[arg(long, value_parser = unit)]
    conf: Option<f64>,
    /// Boxes of one class that overlap more than this are one object, 0 to 1 [default: 0.45]
    #[arg(long, value_parser = unit)]
    iou: Option<f64>,
    /// Most detections of an image [default: 300]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_DETECTIONS as u64))]
    max_detections: Option<u64>,
    /// Every class of a box above --conf is a detection of its own, not just the best one.
    #[arg(long)]
    multi_label: bool,
}

/// Where the probe set comes from.
#[derive(Debug, Args)]
struct ProbeArguments {
    /// A probe set that is there already.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["probe_ir", "probe_count", "probe_size"])]
    probes: Option<PathBuf>,
    /// Folder of infrared images for the probe set; without it images are generated.
    #[arg(long, value_name = "DIR", requires = "probe_vi", conflicts_with = "probe_size")]
    probe_ir: Option<PathBuf>,
    /// Folder of visible images for the probe set, matched by name.
    #[arg(long, value_name = "DIR", requires = "probe_ir")]
    probe_vi: Option<PathBuf>,
    /// Pairs in the probe set [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    probe_count: Option<u16>,
    /// Size of generated images where the model leaves it open [default: 161x97]
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    probe_size: Option<Size>,
}

#[derive(serde::Serialize)]
struct Report<'a> {
    output: &'a Path,
    identity: String,
    signer: Option<String>,
    bytes: u64,
    reference: &'a str,
    probes: &'a [Compared],
    contract: &'a Contract,
    /// What the model loses, where it is in less precision than fp32.
    loss: Option<MeasuredLoss>,
}

/// Pairs in the probe set where nobody says.
const PROBES: u16 = 2;
/// Odd sides, so that no stride fits by chance.
const PROBE_SIZE: Size = Size::new(161, 97);

/// A model with what its weights make of images, where they are there.
struct Made {
    onnx: Vec<u8>,
    external_data: Vec<(String, Vec<u8>)>,
    contract: Contract,
    /// What it loses, where it is in less precision than fp32.
    loss: Option<MeasuredLoss>,
    /// The same weights as plainly as they can be written.
    plain: Option<Vec<u8>>,
}

pub(crate) fn run(arguments: &BundleArguments) -> anyhow::Result<()> {
    let paths = arguments.weights.paths(Paths::default()).file("--model", arguments.model.as_deref());
    let paths = paths.file("--rig", arguments.rig.as_deref()).file("--beta", arguments.beta.as_deref());
    let paths = paths.file("--run", arguments.run.as_deref()).file("--key", arguments.key.as_deref());
    let probes = &arguments.probes;
    let paths = paths.file("--probes", probes.probes.as_deref()).folder("--probe-ir", probes.probe_ir.as_deref());
    let paths = paths.folder("--probe-vi", probes.probe_vi.as_deref()).fills("--output", arguments.output.as_path());
    arguments.reduce.paths(paths.writes("--json", arguments.json.as_deref())).check()?;
    claim(arguments.json.as_deref())?;
    let existing = if arguments.overwrite { Existing::Replace } else { Existing::Refuse };
    existing.check(&arguments.output).map_err(ExportError::from)?;
    let key = arguments.key.as_deref().map(SecretKey::read).transpose().map_err(bundle_error)?;
    let rig = arguments.rig.as_deref().map(|path| rig(path, arguments.rig_distance_m)).transpose()?;
    let (beta, run) =
        (arguments.beta.as_deref().map(bytes).transpose()?, arguments.run.as_deref().map(record).transpose()?);
    if arguments.model.is_some() {
        arguments.reduce.check_given()?;
    } else {
        arguments.reduce.check(arguments.weights.folds())?;
        // Said before the minutes that calibration takes.
        if let Some(precision) = arguments.reduce.unmeasured() {
            return Err(unmeasured(precision).into());
        }
    }
    let (console, stop) = (Console::default(), StopFlag::on_signals()?);
    let watch = Watch { progress: &console, stop: &stop };
    let made = made(arguments, watch)?;
    let contract = &made.contract;
    let thresholds = arguments.thresholds.of(contract)?;
    let set = probe_set(probes, &made)?;
    // As a vehicle will run it: from memory.
    let data: Vec<(&str, Arc<[u8]>)> =
        made.external_data.iter().map(|(name, bytes)| (name.as_str(), Arc::from(bytes.as_slice()))).collect();
    let mut engine = Engine::from_parts(&model_name(contract), &made.onnx, &data, EngineOptions::CPU)?;
    // What the file itself promises, which a vehicle goes by.
    let promised = engine.contract()?;
    let compared = compare(&mut engine, &promised, &set)?;
    tell(&compared)?;
    if let Some(far) = far(&compared) {
        bail!("{}: not written: the model differs from its references: {far}", arguments.output.display());
    }
    watch.check()?;
    let reference = set.reference.clone();
    let Made { onnx, external_data, contract, loss, .. } = made;
    let contents =
        Contents { onnx, external_data, contract: contract.clone(), loss, probes: set, thresholds, rig, beta, run };
    let written = draft(contents)?.write(&arguments.output, key.as_ref(), existing).map_err(ExportError::from)?;
    let report = report(&written, arguments, &reference, &compared, &contract);
    write_json(arguments.json.as_deref(), &report)?;
    let count = written.manifest().files.len();
    out!("{}: {count} files, {} bytes, SHA-256 {}", arguments.output.display(), report.bytes, report.identity)?;
    match &report.signer {
        Some(signer) => out!("  signed by {signer}")?,
        None => out!("  not signed: give --key, and --public-key on the vehicle, so that nobody else's is taken")?,
    }
    for file in &written.manifest().files {
        out!("  {:<14} {} ({} bytes)", file.role.name(), file.path, file.bytes)?;
    }
    Ok(())
}

fn report<'a>(
    written: &Bundle,
    arguments: &'a BundleArguments,
    reference: &'a str,
    probes: &'a [Compared],
    contract: &'a Contract,
) -> Report<'a> {
    Report {
        output: &arguments.output,
        identity: written.identity().to_string(),
        signer: written.manifest().signer.as_ref().map(PublicKey::to_string),
        bytes: written.manifest().files.iter().map(|file| file.bytes).sum(),
        reference,
        probes,
        contract,
        loss: written.manifest().models.first().and_then(|model| model.loss.clone()),
    }
}

fn bundle_error(error: impl Into<BundleError>) -> ExportError {
    ExportError::Bundle(error.into())
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A run record with the end of its name, of which a bundle takes plain ones.
fn record(path: &Path) -> anyhow::Result<(Vec<u8>, String)> {
    let end =
        path.extension().and_then(|end| end.to_str()).filter(|end| end.chars().all(|c| c.is_ascii_alphanumeric()));
    Ok((bytes(path)?, end.unwrap_or("txt").to_ascii_lowercase()))
}

/// A rig that aligns at that distance; its bytes as they are.
fn rig(path: &Path, distance_m: Option<f64>) -> anyhow::Result<(Vec<u8>, Option<f64>)> {
    let text = std::fs::read_to_string(path).map_err(|source| ExportError::Text { path: path.to_owned(), source })?;
    Geometry::from_toml(&text, path).and_then(|rig| rig.table(distance_m)).map_err(ExportError::from)?;
    Ok((text.into_bytes(), distance_m))
}

/// The model that was asked for.
fn made(arguments: &BundleArguments, watch: Watch<'_>) -> anyhow::Result<Made> {
    let BundleArguments { weights, reduce, .. } = arguments;
    let Some(path) = &arguments.model else {
        let opened = weights.open()?;
        let model = weights.model(&opened)?;
        let reduction = reduce.reduce(&model, watch)?;
        let plan = reduction.as_ref().map_or(Plan::Single, |reduction| reduction.plan.clone());
        let contract = Contract { precision: plan.precision(), ..model.contract().clone() };
        let loss = match reduction {
            Some(Reduction { verdict: Some(verdict), .. }) => Some(kept(&verdict, &arguments.output)?),
            Some(Reduction { verdict: None, .. }) => return Err(unmeasured(contract.precision).into()),
            None => None,
        };
        let whole = model.to_onnx_as(weights.folds(), &plan)?;
        let (onnx, external_data) = parted(whole, &contract, arguments.external_data)?;
        return Ok(Made { onnx, external_data, contract, loss, plain: Some(model.to_onnx(false)?) });
    };
    let onnx = bytes(path)?;
    let mut external_data = vec![];
    // What is no model has none, and the engine says what it is.
    for name in external::files(&onnx).unwrap_or_default() {
        let data = bytes(&path.with_file_name(&name))?;
        external_data.push((name, data));
    }
    let mut engine = if external_data.is_empty() {
        Engine::open(path, EngineOptions::CPU).map_err(ExportError::from)?
    } else {
        let data: Vec<(&str, Arc<[u8]>)> =
            external_data.iter().map(|(name, bytes)| (name.as_str(), Arc::from(bytes.as_slice()))).collect();
        Engine::from_parts(&path.display().to_string(), &onnx, &data, EngineOptions::CPU)?
    };
    let contract = engine.contract()?;
    let rebuilt = rebuild(path, ("--fusion", weights.fusion.as_deref()), &weights.tasks, &contract)?;
    let model = rebuilt.as_ref().map(|(model, _)| model);
    let loss = loss(reduce, &mut engine, &contract, model, (path, watch))?;
    let plain = model.map(|model| model.to_onnx(false)).transpose()?;
    Ok(Made { onnx, external_data, contract, loss, plain })
}

/// What a model that is there already loses against its weights in fp32.
fn loss(
    reduce: &ReduceArguments,
    engine: &mut Engine,
    contract: &Contract,
    model: Option<&Model>,
    (path, watch): (&Path, Watch<'_>),
) -> anyhow::Result<Option<MeasuredLoss>> {
    let frames = reduce.held_out(contract)?;
    let (frames, model) = match (contract.precision, frames, model) {
        (Precision::Fp32, None, _) => return Ok(None),
        (Precision::Fp32, Some(_), _) => {
            return Err(ExportError::settings("--held-out has no effect on a model in fp32").into());
        }
        (Precision::Fp16, Some(_), Some(_)) => {
            let what = "--model: of a model in fp16 a CPU leaves roundings out, and its loss would look too small: give --precision \
                        fp16 in its place, which makes the model and imitates them";
            return Err(ExportError::settings(what).into());
        }
        (_, Some(frames), Some(model)) => (frames, model),
        (precision, ..) => return Err(unmeasured(precision).into()),
    };
    let limits = reduce.limits(contract.precision, contract)?;
    let mut single = Engine::from_bytes("the same weights in fp32", &model.to_onnx(true)?, EngineOptions::CPU)?;
    let loss = measure(contract, &mut single, engine, &frames, watch.progress)?;
    tell_loss(&loss)?;
    Ok(Some(kept(&Verdict::new(loss, limits, contract), path)?))
}

/// The loss, where it is within its limits.
fn kept(verdict: &Verdict, model: &Path) -> anyhow::Result<MeasuredLoss> {
    refuse(verdict, model)?;
    Ok(MeasuredLoss::from(&verdict.loss))
}

fn unmeasured(precision: Precision) -> ExportError {
    let precision = precision.name();
    ExportError::settings(format!(
        "a bundle holds what a model in {precision} loses: give its weights and --held-out DIR"
    ))
}

/// A model, and its weights where they are to lie beside it.
type Parted = (Vec<u8>, Vec<(String, Vec<u8>)>);

fn parted(whole: Vec<u8>, contract: &Contract, outside: bool) -> Result<Parted, ExportError> {
    if !outside {
        return Ok((whole, vec![]));
    }
    let name = data_name(contract);
    let (onnx, data) = external::split(&whole, &name)?;
    Ok((onnx, vec![(name, data)]))
}

/// What the model is held to.
fn probe_set(arguments: &ProbeArguments, made: &Made) -> anyhow::Result<ProbeSet> {
    if let Some(path) = &arguments.probes {
        return Ok(ProbeSet::from_bytes(&bytes(path)?)
            .map_err(|source| ExportError::Bundle(BundleError::Probes { path: path.clone(), source }))?);
    }
    let Some(plain) = &made.plain else {
        let what = "nothing says what the model should compute: give the weights it was made of, or --probes";
        return Err(ExportError::settings(what).into());
    };
    let count = usize::from(arguments.probe_count.unwrap_or(PROBES));
    let inputs: Inputs = match (&arguments.probe_ir, &arguments.probe_vi) {
        (Some(ir), Some(vi)) => of_pairs(&made.contract, ir, vi, count)?,
        _ => generated(&made.contract, arguments.probe_size.unwrap_or(PROBE_SIZE), count, 0)?,
    };
    let build = library().map_err(caf_engine::EngineError::from)?.build();
    let reference =
        format!("ONNX Runtime on the CPU, the graph not optimised, the weights in fp32 as they were trained ({build})");
    let mut engine = Engine::unoptimized("the same weights, not folded", plain)?;
    Ok(computed(&mut engine, &made.contract, inputs, reference)?)
}

impl ThresholdArguments {
    /// For a model that detects; of another they are a wrong call.
    fn of(&self, contract: &Contract) -> Result<Thresholds, ExportError> {
        let Self { conf, iou, max_detections, multi_label } = *self;
        let given = conf.is_some() || iou.is_some() || max_detections.is_some() || multi_label;
        if given && !contract.tasks.iter().any(|task| task.task().has_thresholds) {
            return Err(ExportError::settings("thresholds were given, and no task of the model has any"));
        }
        let usual = Thresholds::default();
        Ok(Thresholds {
            score: conf.unwrap_or(usual.score),
            iou: iou.unwrap_or(usual.iou),
            max_detections: max_detections.map_or(usual.max_detections, |n| usize::try_from(n).unwrap_or(usize::MAX)),
            multi_label,
        })
    }
}
