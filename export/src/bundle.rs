//! A bundle out of a model and what belongs to it.

use crate::error::ExportError;
use caf_bundle::{
    Draft, FileName, Made, MeasuredLoss, ModelEntry, NameFault, ProbeSet, RigEntry, Role, TaskEntry, Thresholds,
    modelinfo,
};
use caf_contract::Contract;

/// What a bundle is made of.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The ONNX file.
    pub onnx: Vec<u8>,
    /// Its weights, where they lie outside: each under the name by which it refers to them.
    pub external_data: Vec<(String, Vec<u8>)>,
    /// What it promises.
    pub contract: Contract,
    /// What it loses against fp32, where it is in less.
    pub loss: Option<MeasuredLoss>,
    /// What it is held to.
    pub probes: ProbeSet,
    /// What counts as a detection, for a model that detects.
    pub thresholds: Thresholds,
    /// The text of a rig file, and the distance in metres to align at where it leaves the choice.
    pub rig: Option<(Vec<u8>, Option<f64>)>,
    /// The result of the search that its loss came from.
    pub beta: Option<Vec<u8>>,
    /// The record of the run that trained it, and how the file's name ends.
    pub run: Option<(Vec<u8>, String)>,
}

/// The name of the ONNX file within a bundle.
#[must_use]
pub fn model_name(contract: &Contract) -> String {
    format!("model.{}.onnx", contract.precision.name())
}

/// The name of a file with the weights of that model.
#[must_use]
pub fn data_name(contract: &Contract) -> String {
    format!("{}.data", model_name(contract))
}

/// The bundle, ready to be written.
///
/// # Errors
/// [`ExportError::Settings`] for a model that does not fuse, and for external data elsewhere than beside its model;
/// [`ExportError::Probes`].
pub fn draft(contents: Contents) -> Result<Draft, ExportError> {
    let Contents { onnx, external_data, contract, loss, probes, thresholds, rig, beta, run } = contents;
    if !contract.fuses() {
        let what = format!("expected a model that fuses, found one that only {}: give --fusion", contract.summary());
        return Err(ExportError::settings(what));
    }
    let mut files = vec![];
    let mut add = |name: &str, role: Role, bytes: Vec<u8>| -> Result<FileName, ExportError> {
        let wrong = |fault: NameFault| ExportError::settings(format!("the file name `{name}` {fault}"));
        let name = FileName::new(name).map_err(wrong)?;
        files.push((name.clone(), role, bytes));
        Ok(name)
    };
    let file = add(&model_name(&contract), Role::Model, onnx)?;
    let mut outside = vec![];
    for (name, bytes) in external_data {
        if name.contains('/') {
            let what = format!("the model's weights lie in `{name}`: expected a file beside the model");
            return Err(ExportError::settings(what));
        }
        outside.push(add(&name, Role::ExternalData, bytes)?);
    }
    let text = modelinfo::modelinfo(&contract).into_bytes();
    let modelinfo = add(&format!("{file}{}", modelinfo::SUFFIX), Role::Modelinfo, text)?;
    let mut tasks = vec![];
    for task in &contract.tasks {
        let text: String = task.classes().iter().map(|class| format!("{class}\n")).collect();
        let classes_file = add(&format!("{}.classes.txt", task.name()), Role::Classes, text.into_bytes())?;
        tasks.push(TaskEntry { task: task.name().to_owned(), classes: task.classes().to_vec(), classes_file });
    }
    let rig = match rig {
        Some((text, distance_m)) => Some(RigEntry { file: add("rig.toml", Role::Rig, text)?, distance_m }),
        None => None,
    };
    let beta = beta.map(|bytes| add("provenance/beta.toml", Role::Provenance, bytes)).transpose()?;
    let run = run.map(|(bytes, end)| add(&format!("provenance/run.{end}"), Role::Provenance, bytes)).transpose()?;
    let probes = add("probes.safetensors", Role::Probes, probes.to_bytes()?)?;
    let program = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned();
    let precision = contract.precision;
    Ok(Draft {
        made: Made { program, beta, run, sources: contract.sources.clone() },
        infrared_range: contract.infrared_range,
        detection: contract.tasks.iter().any(|task| task.task().has_thresholds).then_some(thresholds),
        tasks,
        rig,
        probes,
        models: vec![ModelEntry { file, precision, external_data: outside, modelinfo, loss }],
        files,
    })
}
