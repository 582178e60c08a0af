//! The promise of a model, read off its graph.

use super::files::TaskFile;
use super::parts::{Parts, Settings};
use crate::error::ExportError;
use caf_contract::{
    Colour, Contract, Element, Extent, INPUT_IMAGE, INPUT_IR, INPUT_VI, OUTPUT_FUSED, Port, Precision, Source, VERSION,
};
use caf_file::Sha256Hash;
use caf_net::zoo::pipeline::{ColourMode, TaskStage};
use caf_net::{Dim, Graph, Value};

/// What a graph of these parts promises; `stages` are those of the task networks.
///
/// # Errors
/// [`ExportError::Settings`] for task networks without a fusion network that were trained on different infrared ranges, and for a
/// range in the settings that is not the one of the training.
pub(super) fn contract(
    graph: &Graph,
    parts: Parts<'_>,
    settings: &Settings,
    stages: &[TaskStage],
) -> Result<Contract, ExportError> {
    let (fusion, tasks) = (parts.fusion(), parts.tasks());
    // A task without a fusion network sees colour images.
    let visible = match (fusion, settings.colour) {
        (None, _) | (_, ColourMode::Rgb) => Colour::Rgb,
        (Some(_), ColourMode::Gray) => Colour::Gray,
    };
    let colour_of = |name: &str| match name {
        INPUT_IR => Colour::Gray,
        INPUT_VI | INPUT_IMAGE | OUTPUT_FUSED => visible,
        // Results of a task are no images.
        _ => Colour::None,
    };
    let port = |name: &str, value: Value| {
        let ty = graph.type_of(value);
        let element = match ty.element {
            caf_net::Element::F32 => Element::F32,
            caf_net::Element::U8 => Element::U8,
        };
        let extent = |dim: &Dim| match dim {
            Dim::Fixed(n) => Extent::Fixed(*n),
            Dim::Named(name) => Extent::Named(name.clone()),
            Dim::Shifted { .. } | Dim::Any => Extent::Open,
        };
        Port { name: name.to_owned(), element, shape: ty.dims.iter().map(extent).collect(), colour: colour_of(name) }
    };
    let source = |role: &str, sha256: Sha256Hash| Source { role: role.to_owned(), sha256: sha256.to_string() };
    // A task network sees the fused image, which has no range any more.
    let infrared_range = match (fusion, tasks) {
        (Some(fusion), _) => fusion.ir_range(),
        (None, [first, rest @ ..]) if rest.iter().any(|file| file.part().ir_range() != first.part().ir_range()) => {
            let ranges: Vec<String> =
                tasks.iter().map(|file| file.part().ir_range().unwrap_or_default().to_string()).collect();
            let what = format!("task networks of one infrared range, found {}", ranges.join(" and "));
            return Err(ExportError::settings(format!("expected {what}")));
        }
        (None, tasks) => tasks.first().and_then(|file| file.part().ir_range()),
    };
    let infrared_range = match (infrared_range, settings.ir_range) {
        (Some(trained), Some(given)) if given != trained => {
            let what = format!("the infrared range {given} was asked for, and the weights were trained on {trained}");
            return Err(ExportError::settings(what));
        }
        (trained, given) => trained.or(given).unwrap_or_default(),
    };
    let promise = |(file, stage): (&TaskFile, &TaskStage)| {
        (stage.network.task().contract)(file.classes().to_vec(), stage.letterbox.unwrap_or(file.image_size()))
    };
    let of_fusion = fusion.map(|file| source("fusion", file.sha256()));
    Ok(Contract {
        version: VERSION,
        precision: Precision::Fp32,
        inputs: graph.inputs().iter().map(|i| port(&i.name, i.value)).collect(),
        outputs: graph.outputs().iter().map(|o| port(&o.name, o.value)).collect(),
        infrared_range,
        tasks: tasks.iter().zip(stages).map(promise).collect(),
        sources: of_fusion.into_iter().chain(tasks.iter().map(|file| source("task", file.part().sha256()))).collect(),
    })
}
