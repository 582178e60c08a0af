//! The promise of a model, read off its graph.

use super::settings::Settings;
use super::{FusionFile, Parts, Task, TaskFile};
use caf_contract::{
    Colour, Contract, DetectionContract, Element, Extent, INPUT_IR, OUTPUT_CLASS_MAP, OUTPUT_PREDICTIONS, Port,
    Precision, SegmentationContract, Source, TaskContract, VERSION,
};
use caf_geometry::Size;
use caf_net::zoo::pipeline::ColourMode;
use caf_net::{Dim, Graph, Value};

pub(super) fn contract(graph: &Graph, parts: Parts<'_>, settings: &Settings, letterbox: Option<Size>) -> Contract {
    let (fusion, task) = parts.files();
    // A task without a fusion network sees colour images.
    let visible = match (fusion, settings.colour) {
        (None, _) | (_, ColourMode::Rgb) => Colour::Rgb,
        (Some(_), ColourMode::Gray) => Colour::Gray,
    };
    let colour_of = |name: &str| match name {
        INPUT_IR => Colour::Gray,
        OUTPUT_PREDICTIONS | OUTPUT_CLASS_MAP => Colour::None,
        _ => visible,
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
    let source = |role: &str, sha256: &str| Source { role: role.to_owned(), sha256: sha256.to_owned() };
    Contract {
        version: VERSION,
        precision: Precision::Fp32,
        inputs: graph.inputs().iter().map(|i| port(&i.name, i.value)).collect(),
        outputs: graph.outputs().iter().map(|o| port(&o.name, o.value)).collect(),
        // A task network sees the fused image, which has no range any more.
        infrared_range: fusion.map(FusionFile::ir_range).or(task.map(TaskFile::ir_range)).unwrap_or_default(),
        tasks: task.map(|task| task_contract(task, letterbox)).into_iter().collect(),
        sources: [
            fusion.map(FusionFile::sha256).map(|hash| source("fusion", hash)),
            task.map(TaskFile::sha256).map(|hash| source("task", hash)),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}

/// Value in label files of pixels that segmentations do not learn from.
const IGNORED_LABEL: u8 = 255;

fn task_contract(task: &TaskFile, letterbox: Option<Size>) -> TaskContract {
    let classes = task.classes().to_vec();
    match task.task() {
        Task::Detection => TaskContract::Detection(DetectionContract {
            output: OUTPUT_PREDICTIONS.to_owned(),
            classes,
            input: letterbox.unwrap_or(task.image_size()),
        }),
        Task::Segmentation => TaskContract::Segmentation(SegmentationContract {
            output: OUTPUT_CLASS_MAP.to_owned(),
            classes,
            ignored_label: Some(IGNORED_LABEL),
            palette: None,
        }),
    }
}
