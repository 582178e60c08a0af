//! What a run goes by: a model alone, or a bundle with all that belongs to one.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use caf_bundle::{Bundle, BundleError, PublicKey, Sha256Hash, Thresholds, Trust};
use caf_console::{Paths, WrongCall, say, unit};
use caf_engine::{Engine, EngineOptions, Provider};
use caf_geometry::NmsSettings;
use caf_rig::Geometry;
use caf_runtime::error::RuntimeError;
use caf_runtime::session::Model;
use clap::{ArgGroup, Args};
use serde::Serialize;

use super::args::{ProviderName, threads};

/// The model and where it runs.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["model", "bundle"]))]
pub struct ModelArgs {
    /// Model written by `caf-export onnx`.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Bundle written by `caf-export bundle`, in place of a model: with its rig, thresholds, classes and infrared range. All of it
    /// is verified before anything is used.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Ed25519 key (PEM, or 64 hexadecimal digits) that must have signed the bundle; one of them, where several are given. Without
    /// it the bundle must only be whole.
    #[arg(long, value_name = "FILE", requires = "bundle")]
    public_key: Vec<PathBuf>,
    /// Hardware; anything but `auto` fails when it is not there.
    #[arg(long, value_enum, default_value_t)]
    provider: ProviderName,
    /// CPU threads of one operator; as many as there are cores by default.
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<u16>,
}

/// A model that is ready to run, with what its bundle says about the run.
pub struct Vehicle {
    /// The model.
    pub model: Model,
    /// Hash of its file.
    pub model_sha256: Sha256Hash,
    /// Geometry of the cameras, and the distance in metres to align at, of a bundle with a rig.
    pub rig: Option<(Geometry, Option<f64>)>,
    /// What counts as a detection, of a bundle that detects.
    pub thresholds: Option<Thresholds>,
    /// Where it comes from, when it is a bundle.
    pub origin: Option<Origin>,
}

/// Which bundle a run went by.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    path: PathBuf,
    /// SHA-256 of its manifest.
    identity: String,
    signer: Option<PublicKey>,
    /// Whether the signer is one that was demanded.
    is_trusted: bool,
    /// Options that replaced what the bundle says, in words.
    overridden: Vec<String>,
}

/// A report with the bundle that the run went by.
#[derive(Serialize)]
pub struct WithOrigin<'a, T> {
    #[serde(flatten)]
    report: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<&'a Origin>,
}

impl<'a, T> WithOrigin<'a, T> {
    pub fn new(report: &'a T, origin: &'a Option<Origin>) -> Self {
        Self { report, bundle: origin.as_ref() }
    }
}

impl ModelArgs {
    /// What is read.
    pub fn paths(&self) -> Paths {
        let paths = Paths::default().file("--model", self.model.as_deref()).sealed("--bundle", self.bundle.as_deref());
        self.public_key.iter().fold(paths, |paths, key| paths.file("--public-key", key.as_path()))
    }

    /// Whether a bundle was named.
    pub fn is_bundle(&self) -> bool {
        self.bundle.is_some()
    }

    /// As options for loading.
    pub fn options(&self) -> EngineOptions {
        EngineOptions { provider: self.provider.into(), threads: self.threads.map(usize::from) }
    }

    /// Loads what was named, a bundle after verifying all of it, and says where the model runs where that is not plain.
    pub fn load(&self) -> anyhow::Result<Vehicle> {
        let vehicle = match (&self.bundle, &self.model) {
            (Some(folder), _) => self.open(&Bundle::open(folder, &self.trust()?)?)?,
            // The parser forgets that a key needs a bundle where the model excludes one.
            (None, Some(_)) if !self.public_key.is_empty() => {
                return Err(WrongCall("--public-key: expected a --bundle, found --model".to_owned()).into());
            }
            (None, Some(path)) => {
                let model = Model::load(path, self.options())?;
                let model_sha256 =
                    Sha256Hash::of_file(path).with_context(|| format!("cannot read {}", path.display()))?;
                Vehicle { model, model_sha256, rig: None, thresholds: None, origin: None }
            }
            (None, None) => anyhow::bail!("neither --model nor --bundle"),
        };
        // On the CPU of a machine that has nothing else it is plain.
        match (vehicle.model.provider(), vehicle.model.notice()) {
            (provider, Some(notice)) => say!("provider: {} ({notice})", provider.name()),
            (Provider::Cpu, None) => {}
            (provider, None) => say!("provider: {}", provider.name()),
        }
        Ok(vehicle)
    }

    fn trust(&self) -> Result<Trust, BundleError> {
        if self.public_key.is_empty() {
            return Ok(Trust::Integrity);
        }
        let keys = self.public_key.iter().map(|path| PublicKey::read(path));
        Ok(Trust::Keys(keys.collect::<Result<_, _>>()?))
    }

    /// The model and the rest of a verified bundle; its bytes are no longer needed then.
    fn open(&self, bundle: &Bundle) -> anyhow::Result<Vehicle> {
        let manifest = bundle.manifest();
        let found = bundle.model(None).context("the bundle has no model")?;
        let external: Vec<(&str, Arc<[u8]>)> = found.external_data;
        let name = found.path.display().to_string();
        let model_sha256 = Sha256Hash::of(found.onnx);
        let model = Engine::from_parts(&name, found.onnx, &external, self.options())
            .map_err(RuntimeError::from)
            .and_then(Model::new)?;
        bundle.check_contract(found.entry, model.contract())?;
        let distance_m = manifest.rig.as_ref().and_then(|rig| rig.distance_m);
        let rig = bundle.rig().map(|(text, path)| Geometry::from_toml(&text, &path)).transpose()?;
        let origin = Origin {
            path: bundle.folder().to_owned(),
            identity: bundle.identity().to_string(),
            signer: manifest.signer,
            is_trusted: !self.public_key.is_empty(),
            overridden: vec![],
        };
        let signed = match (origin.signer, origin.is_trusted) {
            (Some(signer), true) => format!("signed by {signer}"),
            (Some(signer), false) => format!("signed by {signer}, which nothing demands (--public-key)"),
            (None, _) => "not signed".to_owned(),
        };
        say!("bundle: {}, SHA-256 {}, {signed}", origin.path.display(), origin.identity);
        let rig = rig.map(|rig| (rig, distance_m));
        Ok(Vehicle { model, model_sha256, rig, thresholds: manifest.detection, origin: Some(origin) })
    }
}

impl Vehicle {
    /// Says that an option goes before what the bundle says, and keeps it for the reports.
    pub fn overrides(&mut self, option: &str, value: impl std::fmt::Display, was: impl std::fmt::Display) {
        if let Some(origin) = &mut self.origin {
            let line = format!("{option} {value} in place of {was}");
            say!("{line}, which the bundle says");
            origin.overridden.push(line);
        }
    }
}

/// Thresholds of the detector.
#[derive(Debug, Args)]
pub struct DetectorArgs {
    /// Least score of a detection, 0 to 1 [default: the bundle's, else 0.25]
    #[arg(long, value_parser = unit)]
    conf: Option<f64>,
    /// Boxes of one class that overlap more than this are one object, 0 to 1 [default: the bundle's, else 0.45]
    #[arg(long, value_parser = unit)]
    iou: Option<f64>,
    /// Every class of a box above --conf is a detection of its own, not just the best one. With --conf 0.001 --iou 0.6 the
    /// detections are those that `caf-search eval` measures.
    #[arg(long)]
    multi_label: bool,
}

impl DetectorArgs {
    /// As settings of the suppression: what was typed, else what the bundle says, else what is usual. What goes before the bundle's
    /// word is said.
    pub fn settings(&self, vehicle: &mut Vehicle) -> NmsSettings {
        let said = vehicle.thresholds;
        let mut thresholds = said.unwrap_or_default();
        for (option, typed, value) in
            [("--conf", self.conf, &mut thresholds.score), ("--iou", self.iou, &mut thresholds.iou)]
        {
            if let Some(typed) = typed.filter(|typed| typed != value) {
                if said.is_some() {
                    vehicle.overrides(option, typed, *value);
                }
                *value = typed;
            }
        }
        if self.multi_label && !thresholds.multi_label {
            if said.is_some() {
                vehicle.overrides("--multi-label", true, false);
            }
            thresholds.multi_label = true;
        }
        thresholds.into()
    }
}
