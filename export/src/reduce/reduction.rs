//! A plan of less precision found by measurement, with all that it rests on.

use super::agreement::OutputLoss;
use super::calibrate::calibrate;
use super::choose::{Kept, Probe, Sensitivity, Targets, faster, least_loss, sensitivities};
use super::frames::Frames;
use super::gate::Verdict;
use super::watch::Watch;
use crate::error::ExportError;
use crate::model::Model;
use crate::precision::{HalfPlan, Int8Plan, Int8Settings, Method, Plan, Range, convolutions, layer_of};
use crate::verify::Named;
use caf_contract::Precision;
use caf_geometry::Size;
use caf_net::{Dim, Element, Graph, Node, Op};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How layers are chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Layers that stay in single precision whatever is measured, by the beginning of their names.
    pub keep: Vec<String>,
    /// What all together may cost on the probe frames.
    pub targets: Targets,
    /// Runs of each timed pair of models; 0 leaves the time out of the choice.
    pub rounds: usize,
}

/// How integers are chosen.
#[derive(Clone, Copy, Debug)]
pub struct Int8Choice {
    /// From values to ranges.
    pub method: Method,
    /// What integers.
    pub settings: Int8Settings,
    /// Frames that layers are measured on, the first of those calibrated on.
    pub probes: usize,
    /// Largest part of a probe frame, so that measuring layers takes minutes.
    pub probe_size: Size,
}

/// The range of one tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamedRange {
    /// The tensor.
    pub tensor: String,
    /// Its range before tensors that share integers are given one.
    #[serde(flatten)]
    pub range: Range,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Reduction {
    /// What nodes compute in.
    #[serde(skip)]
    pub plan: Plan,
    /// The same with half precision imitated, for measuring the loss on a machine without it.
    #[serde(skip)]
    pub measured_plan: Plan,
    /// Its name.
    pub precision: Precision,
    /// Layers of less precision.
    pub layers: Vec<String>,
    /// Layers in single precision.
    pub kept: Vec<Kept>,
    /// What each layer alone costs.
    pub sensitivities: Vec<Sensitivity>,
    /// What all together cost on the probe frames.
    pub on_probes: Vec<OutputLoss>,
    /// Names of the frames that ranges were collected on.
    pub frames: Vec<String>,
    /// How ranges were chosen.
    pub method: Option<Method>,
    /// Ranges of tensors.
    pub ranges: Vec<NamedRange>,
    /// What is lost on held-out pairs, where there are any.
    pub verdict: Option<Verdict>,
}

/// Splits layers by the beginnings of names that must stay.
fn part(all: BTreeSet<String>, keep: &[String]) -> Result<(BTreeSet<String>, Vec<Kept>), ExportError> {
    if let Some(prefix) = keep.iter().find(|prefix| !all.iter().any(|layer| layer.starts_with(prefix.as_str()))) {
        let some: Vec<&str> = all.iter().map(String::as_str).take(8).collect();
        let what =
            format!("--keep: expected the beginning of a layer's name, as {}…, found `{prefix}`", some.join(", "));
        return Err(ExportError::settings(what));
    }
    let (kept, rest): (BTreeSet<_>, BTreeSet<_>) =
        all.into_iter().partition(|layer| keep.iter().any(|prefix| layer.starts_with(prefix.as_str())));
    let why = "asked for";
    Ok((rest, kept.into_iter().map(|layer| Kept { layer, why: why.to_owned() }).collect()))
}

/// The layers without those that stay.
fn without(layers: BTreeSet<String>, kept: &[Kept]) -> BTreeSet<String> {
    layers.into_iter().filter(|layer| kept.iter().all(|k| k.layer != *layer)).collect()
}

/// Half precision for all layers but those that it cannot hold, and those that cost too much on these inputs.
///
/// # Errors
/// When a model cannot be written or run, a name to keep is that of no layer, or somebody asks for the end.
pub fn half(model: &Model, probes: &[Named], choice: &Choice, watch: Watch<'_>) -> Result<Reduction, ExportError> {
    let graph = model.graph();
    let floats = graph.nodes().iter().filter(|n| graph.type_of(n.output).element == Element::F32);
    let all: BTreeSet<String> = floats.map(|n| layer_of(&n.name).to_owned()).collect();
    let (mut layers, mut kept) = part(all.clone(), &choice.keep)?;
    let plan = |half: &BTreeSet<String>, imitated: bool| {
        Plan::Half(HalfPlan { single: all.difference(half).cloned().collect(), imitated })
    };
    let imitated = |half: &BTreeSet<String>| Ok(plan(half, true));
    while let Some(beyond) = beyond(model, &plan(&layers, false))? {
        layers.remove(&beyond.layer);
        kept.push(beyond);
    }
    let probe = Probe::new(model, probes, watch)?;
    let sensitivities = sensitivities(&probe, &layers, &|_| 1.0, &imitated)?;
    let (costly, on_probes) = least_loss(&probe, &sensitivities, choice.targets, &imitated)?;
    let layers = without(layers, &costly);
    kept.extend(costly);
    Ok(Reduction {
        plan: plan(&layers, false),
        measured_plan: plan(&layers, true),
        precision: Precision::Fp16,
        layers: layers.into_iter().collect(),
        kept,
        sensitivities,
        on_probes,
        frames: vec![],
        method: None,
        ranges: vec![],
        verdict: None,
    })
}

/// The first layer with a constant that half precision cannot hold.
fn beyond(model: &Model, plan: &Plan) -> Result<Option<Kept>, ExportError> {
    match model.to_onnx_as(true, plan) {
        Ok(_) => Ok(None),
        Err(ExportError::Half { layer, name, value }) => {
            Ok(Some(Kept { layer, why: format!("`{name}` holds {value}, beyond half precision") }))
        }
        Err(other) => Err(other),
    }
}

/// Integers for all convolutions but those that cost too much, or that are slower so.
///
/// # Errors
/// When a frame cannot be read, a model cannot be written or run, a name to keep is that of no convolution, or somebody asks for the end.
pub fn int8(
    model: &Model,
    frames: &Frames,
    indices: &[usize],
    int8: Int8Choice,
    choice: &Choice,
    watch: Watch<'_>,
) -> Result<Reduction, ExportError> {
    let graph = model.graph();
    let all: BTreeSet<String> = convolutions(graph).map(|node| node.name.clone()).collect();
    let (layers, mut kept) = part(all, &choice.keep)?;
    let calibrated = calibrate(model, &layers, frames, indices, watch)?;
    let found = || calibrated.ranges(int8.method, int8.settings.activations);
    let ranges: HashMap<usize, Range> = found().map(|(value, _, range)| (value.index(), range)).collect();
    let plan = |convs: &BTreeSet<String>| Int8Plan::new(graph, convs.clone(), &ranges, int8.settings).map(Plan::Int8);
    let probes = indices.iter().take(int8.probes.max(1));
    let probes = probes.map(|i| Ok(frames.load_middle(*i, int8.probe_size)?.inputs));
    let probes = probes.collect::<Result<Vec<_>, ExportError>>()?;
    let bound = frames.bind(graph)?;
    let macs = |layer: &str| convolutions(&bound).find(|n| n.name == layer).map_or(1.0, |n| macs(&bound, n));
    let probe = Probe::new(model, &probes, watch)?;
    let sensitivities = sensitivities(&probe, &layers, &macs, &plan)?;
    let (costly, mut on_probes) = least_loss(&probe, &sensitivities, choice.targets, &plan)?;
    let mut layers = without(layers, &costly);
    kept.extend(costly);
    if let (1.., Some(first)) = (choice.rounds, indices.first()) {
        let frame = frames.load(*first)?.inputs;
        let slow = faster(model, &layers, &groups(&layers), &frame, choice.rounds, &plan, watch)?;
        if !slow.is_empty() {
            layers = without(layers, &slow);
            on_probes = probe.losses(&plan(&layers)?)?;
            kept.extend(slow);
        }
    }
    let plan = plan(&layers)?;
    Ok(Reduction {
        measured_plan: plan.clone(),
        plan,
        precision: Precision::Int8,
        layers: layers.into_iter().collect(),
        kept,
        sensitivities,
        on_probes,
        frames: indices.iter().filter_map(|i| frames.names().nth(*i)).map(str::to_owned).collect(),
        method: Some(int8.method),
        ranges: found().map(|(_, tensor, range)| NamedRange { tensor: tensor.to_owned(), range }).collect(),
        verdict: None,
    })
}

/// Multiply-adds of a convolution in a graph whose extents are known.
fn macs(graph: &Graph, node: &Node) -> f64 {
    let Op::Conv(conv) = &node.op else { return 0.0 };
    let extent = |dim: &Dim| if let Dim::Fixed(n) = dim { *n as f64 } else { 1.0 };
    let pixels: f64 = graph.type_of(node.output).dims.iter().skip(2).map(extent).product();
    graph.param(conv.weight).len() as f64 * pixels
}

/// What is timed without integers: single convolutions of a network that has few, the modules of one that has many, and each network as
/// a whole.
fn groups(layers: &BTreeSet<String>) -> Vec<BTreeSet<String>> {
    /// Most convolutions of a network that are timed one by one; each takes seconds.
    const FEW: usize = 16;
    let mut networks: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for layer in layers {
        let network = layer.split('.').next().unwrap_or(layer);
        networks.entry(network).or_default().insert(layer.clone());
    }
    let mut groups = Vec::new();
    for network in networks.into_values() {
        if network.len() <= FEW {
            groups.extend(network.iter().map(|layer| BTreeSet::from([layer.clone()])));
        } else {
            let mut modules: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
            for layer in &network {
                modules.entry(layer_of(layer)).or_default().insert(layer.clone());
            }
            groups.extend(modules.into_values());
        }
        groups.push(network);
    }
    groups
}
