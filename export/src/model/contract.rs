//! The promise of a model, read off its graph.

use super::settings::Settings;
use super::{FusionFile, Parts, task};
use caf_contract::{
    Colour, Contract, Element, Extent, INPUT_IMAGE, INPUT_IR, INPUT_VI, OUTPUT_FUSED, Port, Precision, Source, VERSION,
};
use caf_geometry::Size;
use caf_net::zoo::pipeline::ColourMode;
use caf_net::{Dim, Graph, Value};

pub(super) fn contract(graph: &Graph, parts: Parts<'_>, settings: &Settings, letterbox: Option<Size>) -> Contract {
    let (fusion, task_file) = parts.files();
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
    let source = |role: &str, sha256: &str| Source { role: role.to_owned(), sha256: sha256.to_owned() };
    Contract {
        version: VERSION,
        precision: Precision::Fp32,
        inputs: graph.inputs().iter().map(|i| port(&i.name, i.value)).collect(),
        outputs: graph.outputs().iter().map(|o| port(&o.name, o.value)).collect(),
        // A task network sees the fused image, which has no range any more.
        infrared_range: fusion.map(FusionFile::ir_range).or(task_file.map(|file| file.ir_range())).unwrap_or_default(),
        tasks: task_file.map(|file| task::contract(file, letterbox)).into_iter().collect(),
        sources: [
            fusion.map(FusionFile::sha256).map(|hash| source("fusion", hash)),
            task_file.map(|file| file.sha256()).map(|hash| source("task", hash)),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}
