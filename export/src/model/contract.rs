//! The promise of a model, read off its graph.

use super::settings::Settings;
use super::{FusionFile, Parts, TaskFile};
use caf_contract::{
    Colour, Contract, DetectorContract, Element, Extent, INPUT_IR, LetterboxContract, OUTPUT_PREDICTIONS, Port, Role,
    Source, VERSION,
};
use caf_geometry::Letterbox;
use caf_net::zoo::pipeline::ColourMode;
use caf_net::{Dim, Graph, Value};

/// Name of an extent that the graph does not track.
const UNTRACKED: &str = "unknown";

pub(super) fn contract(
    graph: &Graph,
    parts: Parts<'_>,
    settings: &Settings,
    letterbox: Option<&Letterbox>,
) -> Contract {
    let (role, fusion, task) = match parts {
        Parts::Fusion(fusion) => (Role::Fusion, Some(fusion), None),
        Parts::Detector(task) => (Role::Detector, None, Some(task)),
        Parts::Pipeline(fusion, task) => (Role::Pipeline, Some(fusion), Some(task)),
    };
    let visible = match (role, settings.colour) {
        (Role::Detector, _) | (_, ColourMode::Rgb) => Colour::Rgb,
        (_, ColourMode::Gray) => Colour::Gray,
    };
    let colour_of = |name: &str| match name {
        INPUT_IR => Colour::Gray,
        OUTPUT_PREDICTIONS => Colour::None,
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
            Dim::Any => Extent::Named(UNTRACKED.to_owned()),
        };
        Port { name: name.to_owned(), element, shape: ty.dims.iter().map(extent).collect(), colour: colour_of(name) }
    };
    let source = |role: &str, sha256: &str| Source { role: role.to_owned(), sha256: sha256.to_owned() };
    Contract {
        version: VERSION,
        role,
        precision: "fp32".to_owned(),
        inputs: graph.inputs().iter().map(|i| port(&i.name, i.value)).collect(),
        outputs: graph.outputs().iter().map(|o| port(&o.name, o.value)).collect(),
        detector: task.zip(letterbox).map(|(task, l)| DetectorContract {
            classes: task.classes().to_vec(),
            letterbox: LetterboxContract {
                height_px: l.out_hw.0,
                width_px: l.out_hw.1,
                ratio: l.ratio,
                pad_left_px: l.pad_wh.0,
                pad_top_px: l.pad_wh.1,
            },
        }),
        sources: [
            fusion.map(FusionFile::sha256).map(|hash| source("fusion", hash)),
            task.map(TaskFile::sha256).map(|hash| source("task", hash)),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}
