//! `caf-export verify --bundle`

use super::compared::{far, tell};
use super::gate::{LimitArguments, tell_measured};
use anyhow::{Context, bail};
use caf_bundle::{Bundle, BundleError, MeasuredLoss, PublicKey, Trust};
use caf_console::{WrongCall, out, write_json};
use caf_engine::{Engine, EngineError, EngineOptions, Placed, Provider, ProviderChoice};
use caf_export::ExportError;
use caf_export::distance::Compared;
use caf_export::probes::compare;
use caf_rig::Geometry;
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// Hardware as the user names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProviderName {
    /// The CPU.
    #[default]
    Cpu,
    /// An NVIDIA GPU, without engine building.
    Cuda,
    /// An NVIDIA GPU, with engines that are built when the model is loaded.
    Tensorrt,
}

impl From<ProviderName> for ProviderChoice {
    fn from(name: ProviderName) -> Self {
        match name {
            ProviderName::Cpu => Self::Cpu,
            ProviderName::Cuda => Self::Cuda,
            ProviderName::Tensorrt => Self::Tensorrt,
        }
    }
}

#[derive(serde::Serialize)]
struct Report<'a> {
    bundle: &'a Path,
    identity: String,
    signer: Option<PublicKey>,
    is_trusted: bool,
    reference: String,
    models: Vec<Verified>,
}

/// One model of the bundle.
#[derive(serde::Serialize)]
struct Verified {
    model: PathBuf,
    precision: &'static str,
    provider: Provider,
    probes: Vec<Compared>,
    /// What was measured when the bundle was made, of less precision than fp32.
    loss: Option<MeasuredLoss>,
    /// Nodes that ran elsewhere than on the provider.
    elsewhere: Vec<Placed>,
}

/// Integrity first, then the rig, then every model on every probe.
pub(crate) fn run(
    folder: &Path,
    public_keys: &[PathBuf],
    provider: ProviderName,
    limits: &LimitArguments,
    json: Option<&Path>,
) -> anyhow::Result<()> {
    let keys = public_keys.iter().map(|path| PublicKey::read(path).map_err(BundleError::from));
    let trust = match keys.collect::<Result<Vec<_>, _>>().map_err(ExportError::from)? {
        keys if keys.is_empty() => Trust::Integrity,
        keys => Trust::Keys(keys),
    };
    let bundle = Bundle::open(folder, &trust).map_err(ExportError::from)?;
    let manifest = bundle.manifest();
    out!("{}: {} files as the manifest says, SHA-256 {}", folder.display(), manifest.files.len(), bundle.identity())?;
    match (&manifest.signer, &trust) {
        (Some(signer), Trust::Keys(_)) => out!("  signed by {signer}")?,
        (Some(signer), Trust::Integrity) => out!("  signed by {signer}, which nothing demands (--public-key)")?,
        (None, _) => out!("  not signed")?,
    }
    if let Some((text, path)) = bundle.rig() {
        let distance_m = manifest.rig.as_ref().and_then(|rig| rig.distance_m);
        // The rig is the bundle's, not the caller's: a bad one is a bundle that fails, whatever it were as an argument.
        Geometry::from_toml(&text, &path)
            .and_then(|rig| rig.table(distance_m))
            .map_err(|error| anyhow::anyhow!("{}", caf_console::told(&error)))?;
    }
    if limits.given() && bundle.models().all(|model| model.entry.loss.is_none()) {
        let what = format!(
            "{}: a limit was given, and no model of the bundle is in less precision than fp32",
            folder.display()
        );
        return Err(WrongCall(what).into());
    }
    let set = bundle.probes().map_err(ExportError::from)?;
    out!("  references: {}", set.reference)?;
    let options = EngineOptions { provider: provider.into(), ..EngineOptions::CPU };
    let (mut models, mut wrong) = (vec![], vec![]);
    for model in bundle.models() {
        let name = model.path.display().to_string();
        let engine_error = |error: EngineError| ExportError::from(error);
        let mut engine = Engine::from_parts(&name, model.onnx, &model.external_data, options).map_err(engine_error)?;
        let contract = engine.contract().map_err(engine_error)?;
        bundle.check_contract(model.entry, &contract).map_err(ExportError::from)?;
        out!("{name}: {} on {}", contract.precision.name(), engine.provider().name())?;
        let probes = compare(&mut engine, &contract, &set).with_context(|| name.clone())?;
        tell(&probes)?;
        let loss = model.entry.loss.clone();
        if let Some(loss) = &loss {
            tell_measured(loss)?;
            limits.check(&contract)?;
            let faults = limits.of(contract.precision).faults(loss, &contract);
            wrong.extend((!faults.is_empty()).then(|| format!("{name}: too much is lost: {}", faults.join("; "))));
        }
        wrong.extend(far(&probes).map(|far| format!("{name}: differs from its references: {far}")));
        let inputs = set.probes.first().map(|probe| probe.inputs.as_slice()).unwrap_or_default();
        let placed =
            Engine::placement(&name, model.onnx, &model.external_data, options, inputs).map_err(engine_error)?;
        let elsewhere: Vec<Placed> = placed.into_iter().filter(|node| !node.is_on(engine.provider())).collect();
        for node in &elsewhere {
            out!("  not on {}: {} `{}`, on {}", engine.provider().name(), node.op, node.node, node.provider)?;
        }
        let precision = contract.precision.name();
        models.push(Verified { model: model.path, precision, provider: engine.provider(), probes, loss, elsewhere });
    }
    let report = Report {
        bundle: folder,
        identity: bundle.identity().to_string(),
        signer: manifest.signer,
        is_trusted: matches!(trust, Trust::Keys(_)),
        reference: set.reference,
        models,
    };
    write_json(json, &report)?;
    if !wrong.is_empty() {
        bail!("a model is not what it should be: {}", wrong.join("; "));
    }
    out!("{}: its models make of the probes what they should", folder.display())?;
    Ok(())
}
