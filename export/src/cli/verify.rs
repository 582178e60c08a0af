//! `caf-export verify`

use super::compared::{far, tell};
use super::gate::LimitArguments;
use super::parse;
use super::rebuild::rebuild;
use super::verify_bundle::{self, ProviderName};
use anyhow::{Context, bail};
use caf_console::{Paths, WrongCall, claim, median, out, write_json};
use caf_contract::{Contract, INPUT_IMAGE, OUTPUT_FUSED};
use caf_engine::{Engine, EngineOptions};
use caf_export::distance::{Compared, Distance, Limit, distances};
use caf_export::model::Model;
use caf_export::verify::{random_inputs, run_checked, seen_by_task};
use caf_geometry::Size;
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  caf-export verify model.onnx
  caf-export verify model.onnx --against fusion.safetensors \\
    --task task.safetensors
  caf-export verify --bundle vehicle --public-key public.pem --provider cuda

With the weights, the model is exported anew without folding and both must agree
to --tolerance: images in [0, 1] and probabilities as they are, boxes relative
to the detector's longer side. The task network is compared on the fused image
that the model shows: fused bytes may differ by a step.")]
pub(crate) struct VerifyArguments {
    /// The file to check.
    #[arg(required_unless_present = "bundle", conflicts_with = "bundle")]
    model: Option<PathBuf>,
    /// A bundle to check in place of a file: all its files, its signature, then every model against the references of its probes.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["against", "tasks", "size", "tolerance", "runs", "seed"])]
    bundle: Option<PathBuf>,
    /// Ed25519 key (PEM, or 64 hexadecimal digits) that must have signed the bundle; one of them, where several are given.
    #[arg(long, value_name = "FILE")]
    public_key: Vec<PathBuf>,
    /// Hardware that the bundle's models run on; it fails when that is not there.
    #[arg(long, value_enum)]
    provider: Option<ProviderName>,
    #[command(flatten)]
    limits: LimitArguments,
    /// Weights of the fusion network that it should have been made from.
    #[arg(long, value_name = "FUSION")]
    against: Option<PathBuf>,
    /// Weights of a task network that it should have been made from; as often, and in the order, as at the export.
    #[arg(long = "task", value_name = "TASK")]
    tasks: Vec<PathBuf>,
    /// Size of the test images where the model leaves it open.
    #[arg(long, default_value = "161x97", value_name = "WIDTHxHEIGHT")]
    size: Size,
    /// Largest accepted difference between folded and unfolded, which needs the weights; bytes may differ by one step [default: 1e-4]
    #[arg(long, value_parser = parse::tolerance)]
    tolerance: Option<f64>,
    /// Timed runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Seed of the test images.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Also write a report for machines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct Report<'a> {
    model: &'a Path,
    contract: &'a Contract,
    test_shapes: Vec<(&'a str, &'a [usize])>,
    median_ms: f64,
    against_weights: Option<Vec<Compared>>,
}

/// Largest accepted difference where nobody says.
const TOLERANCE: f64 = 1e-4;
/// Images at once where the model leaves that open.
const TEST_BATCH: usize = 2;

pub(crate) fn run(arguments: &VerifyArguments) -> anyhow::Result<()> {
    let paths = Paths::default().sealed("--bundle", arguments.bundle.as_deref());
    let keys = arguments.public_key.iter();
    let paths = keys.fold(paths, |paths, key| paths.file("--public-key", key.as_path()));
    match (&arguments.bundle, &arguments.model) {
        (Some(bundle), _) => {
            paths.writes("--json", arguments.json.as_deref()).check()?;
            claim(arguments.json.as_deref())?;
            let provider = arguments.provider.unwrap_or_default();
            verify_bundle::run(bundle, &arguments.public_key, provider, &arguments.limits, arguments.json.as_deref())
        }
        (None, Some(_))
            if !arguments.public_key.is_empty() || arguments.provider.is_some() || arguments.limits.given() =>
        {
            let what = "--public-key, --provider, --least-…, --most-points: expected a --bundle, found a model";
            Err(WrongCall(what.to_owned()).into())
        }
        (None, Some(_))
            if arguments.tolerance.is_some() && arguments.against.is_none() && arguments.tasks.is_empty() =>
        {
            let what = "--tolerance: there is nothing to compare with: give --against, --task or both";
            Err(WrongCall(what.to_owned()).into())
        }
        (None, Some(model)) => verify_model(arguments, model),
        (None, None) => Err(WrongCall("expected a model or --bundle".to_owned()).into()),
    }
}

fn verify_model(arguments: &VerifyArguments, model: &Path) -> anyhow::Result<()> {
    let paths = Paths::default().file("MODEL", model).file("--against", arguments.against.as_deref());
    let paths = arguments.tasks.iter().fold(paths, |paths, task| paths.file("--task", task.as_path()));
    paths.writes("--json", arguments.json.as_deref()).check()?;
    claim(arguments.json.as_deref())?;
    let place = || model.display().to_string();
    let mut engine = Engine::open(model, EngineOptions::CPU)?;
    let contract = engine.contract()?;
    let (images, extents) = random_inputs(&contract, arguments.size, TEST_BATCH, arguments.seed).with_context(place)?;
    let outputs = run_checked(&mut engine, &contract, &extents, &images).with_context(place)?;
    out!("{}: runs as its contract says", place())?;
    for (direction, ports) in [("input ", &contract.inputs), ("output", &contract.outputs)] {
        for port in ports {
            out!("  {direction} {port}")?;
        }
    }
    let mut times = Vec::new();
    for _ in 0..arguments.runs {
        let start = Instant::now();
        engine.run(&images).with_context(place)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    // There is at least one run.
    let median_ms = median(times).unwrap_or_default();
    out!("  median of {} runs: {median_ms:.1} ms on the CPU", arguments.runs)?;

    let against_weights =
        match rebuild(model, ("--against", arguments.against.as_deref()), &arguments.tasks, &contract)? {
            None => None,
            Some((rebuilt, alone)) => {
                const NAME: &str = "the same weights, not folded";
                let plain =
                    |model: &Model| anyhow::Ok(Engine::from_bytes(NAME, &model.to_onnx(false)?, EngineOptions::CPU)?);
                let mut reference = run_checked(&mut plain(&rebuilt)?, &contract, &extents, &images).context(NAME)?;
                // A step of a fused byte moves what the task makes of it further than folding does: it is given the same bytes.
                let fused =
                    outputs.iter().find(|(name, _)| name == OUTPUT_FUSED).and_then(|(_, fused)| seen_by_task(fused));
                if let (Some(tasks), Some(seen)) = (&alone, fused) {
                    for (name, array) in plain(tasks)?.run(&[(INPUT_IMAGE, seen)]).context(NAME)? {
                        if let Some(place) = reference.iter_mut().find(|(other, _)| *other == name) {
                            place.1 = array;
                        }
                    }
                }
                let compared = |distance: Distance| {
                    let limit =
                        Limit::of_weights(&contract, &distance.output, arguments.tolerance.unwrap_or(TOLERANCE));
                    Compared { probe: "test images".to_owned(), distance, limit }
                };
                Some(distances(&contract, &outputs, &reference)?.into_iter().map(compared).collect::<Vec<_>>())
            }
        };
    let test_shapes = images.iter().map(|(name, array)| (name.as_str(), array.shape.as_slice())).collect();
    let report = Report { model, contract: &contract, test_shapes, median_ms, against_weights };
    write_json(arguments.json.as_deref(), &report)?;
    if let Some(compared) = &report.against_weights {
        tell(compared)?;
        if let Some(far) = far(compared) {
            bail!("{}: differs from its weights: {far}", place());
        }
        out!("{}: is made of its weights", place())?;
    }
    Ok(())
}
