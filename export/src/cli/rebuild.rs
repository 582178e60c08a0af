//! A model made anew from the weights that it should have been made from.

use super::weights::Opened;
use anyhow::bail;
use caf_contract::{Colour, Contract, Element, Extent, IrRange, Precision, TaskContract};
use caf_export::ExportError;
use caf_export::model::{FusionFile, Model, Parts, Settings, TaskFile};
use caf_net::zoo::pipeline::{ColourMode, Samples};
use std::path::{Path, PathBuf};

/// The model as the given weights and the contract say it should be, and its task networks alone on RGB bytes if it has both
/// kinds of networks; none without weights. `option` is what names the fusion network's.
pub(crate) fn rebuild(
    model: &Path,
    (option, against): (&str, Option<&Path>),
    tasks: &[PathBuf],
    contract: &Contract,
) -> anyhow::Result<Option<(Model, Option<Model>)>> {
    let name = model.display();
    if against.is_none() && tasks.is_empty() {
        return Ok(None);
    }
    if against.is_some() != contract.fuses() || tasks.len() != contract.tasks.len() {
        let what = match (contract.fuses(), contract.tasks.len()) {
            (true, 0) => format!("the model fuses: give {option} alone"),
            (true, 1) => format!("the model fuses and has a task: give {option} and --task"),
            (true, n) => format!("the model fuses and has {n} tasks: give {option}, and --task {n} times"),
            (false, 1) => "the model does not fuse: give --task alone".to_owned(),
            (false, n) => format!("the model does not fuse and has {n} tasks: give --task {n} times, and no {option}"),
        };
        bail!(ExportError::settings(what));
    }
    let fusion = against.map(FusionFile::open).transpose()?;
    let open = |(path, task): (&PathBuf, &TaskContract)| TaskFile::open(path, Some(task.classes()));
    let tasks = tasks.iter().zip(&contract.tasks).map(open).collect::<Result<Vec<_>, _>>()?;
    let opened = Opened { fusion, tasks };
    opened.tell_notes();
    // There is a file: this was asked above.
    let Some(parts) = opened.parts() else { return Ok(None) };
    let silent = parts_range(&opened).is_none();
    let settings = Settings { ir_range: silent.then_some(contract.infrared_range), ..settings_of(contract) };
    let model = Model::new(parts, &settings)?;
    if model.contract().sources != contract.sources {
        let hashes = |c: &Contract| c.sources.iter().map(|s| format!("{} {}", s.role, s.sha256)).collect::<Vec<_>>();
        bail!(
            "{}: expected it to be made from {}, found {}",
            name,
            hashes(model.contract()).join(", "),
            hashes(contract).join(", ")
        );
    }
    // The plan of less precision is the file's own.
    if *model.contract() != (Contract { precision: Precision::Fp32, ..contract.clone() }) {
        bail!("{}: its contract is not the one these weights and settings give", name);
    }
    let alone = match parts {
        Parts::Pipeline(_, tasks) => {
            let settings = Settings { samples: Samples::Bytes, colour: ColourMode::Rgb, ir_range: None, ..settings };
            Some(Model::new(Parts::Tasks(tasks), &settings)?)
        }
        Parts::Fusion(_) | Parts::Tasks(_) => None,
    };
    Ok(Some((model, alone)))
}

/// The settings that a contract came from.
fn settings_of(contract: &Contract) -> Settings {
    let image = contract.inputs.iter().find(|p| p.colour == Colour::Rgb).or(contract.inputs.last());
    let element = image.map_or(Element::U8, |p| p.element);
    Settings {
        samples: match element {
            Element::U8 => Samples::Bytes,
            Element::F32 => Samples::Unit,
        },
        colour: match image.map(|p| p.colour) {
            Some(Colour::Gray) => ColourMode::Gray,
            _ => ColourMode::Rgb,
        },
        size: image.and_then(|p| p.fixed_size()),
        batch: image.and_then(|p| p.shape.first()).and_then(Extent::fixed),
        task_size: contract.tasks.iter().find_map(TaskContract::input),
        ir_range: None,
    }
}

/// The infrared range that weight files say they were trained on.
fn parts_range(opened: &Opened) -> Option<IrRange> {
    match (&opened.fusion, opened.tasks.as_slice()) {
        (Some(fusion), _) => fusion.ir_range(),
        (None, tasks) => tasks.first().and_then(|file| file.part().ir_range()),
    }
}
