//! The values that tensors take on real frames, collected through ONNX Runtime.

use super::frames::Frames;
use super::watch::Watch;
use crate::error::ExportError;
use crate::model::Model;
use crate::onnx::{ExportOptions, onnx};
use crate::precision::{Activations, BINS, Histogram, Method, Range, values_to_calibrate};
use caf_engine::{Engine, EngineOptions, Values};
use caf_net::{Dim, Graph, Value};
use std::collections::BTreeSet;

/// Bytes of tensors that one run of the model may hand out, so that memory does not grow with the network: it is run as often for each
/// frame as that takes.
const MOST_BYTES: usize = 256 << 20;

/// What values each tensor took.
#[derive(Clone, Debug)]
pub struct Calibrated {
    tensors: Vec<(Value, String, Histogram)>,
}

impl Calibrated {
    /// Every tensor with its range by a method, in the graph's order.
    pub fn ranges(&self, method: Method, element: Activations) -> impl Iterator<Item = (Value, &str, Range)> {
        self.tensors.iter().filter_map(move |(value, name, h)| Some((*value, name.as_str(), method.range(h, element)?)))
    }
}

/// Runs a model in single precision on these frames and collects the values of all tensors that the named convolutions need.
///
/// # Errors
/// When a frame cannot be read, ONNX Runtime fails, a tensor takes values that are no numbers, or somebody asks for the end.
pub fn calibrate(
    model: &Model,
    convs: &BTreeSet<String>,
    frames: &Frames,
    indices: &[usize],
    watch: Watch<'_>,
) -> Result<Calibrated, ExportError> {
    let graph = model.graph();
    let mut tensors: Vec<(Value, String, Histogram)> = Vec::new();
    for value in values_to_calibrate(graph, convs) {
        let name = match graph.producer(value) {
            Some(node) => node.name.clone(),
            None => graph.inputs().iter().find(|i| i.value == value).map(|i| i.name.clone()).unwrap_or_default(),
        };
        tensors.push((value, name, Histogram::new(BINS)));
    }
    let (inside, outside): (Vec<_>, Vec<_>) =
        (0..tensors.len()).partition(|i| tensors.get(*i).is_some_and(|(v, ..)| graph.producer(*v).is_some()));
    let runs = runs(graph, frames, &tensors, inside)?;
    watch.progress.begin("calibrate", (indices.len() * runs.len()) as u64, 0);
    let mut done = 0;
    for (number, run) in runs.iter().enumerate() {
        let names: Vec<&str> = run.iter().filter_map(|i| tensors.get(*i)).map(|(_, name, _)| name.as_str()).collect();
        let bytes = onnx(&graph.with_outputs(&names)?, model.weights(), &ExportOptions::default())?;
        let mut engine = Engine::from_bytes("the calibration graph", &bytes, EngineOptions::CPU)?;
        for index in indices {
            let frame = frames.load(*index)?;
            let wanted: BTreeSet<String> = engine.inputs().into_iter().map(|port| port.name).collect();
            let inputs: Vec<_> = frame.inputs.iter().filter(|(name, _)| wanted.contains(name)).cloned().collect();
            let outputs = engine.run(&inputs)?;
            let found = outputs.into_iter().chain(frame.inputs.iter().filter(|_| number == 0).cloned());
            for (name, array) in found {
                let of = |i: &usize| tensors.get(*i).is_some_and(|(_, n, _)| *n == name);
                let place = run.iter().chain(&outside).copied().find(|i| of(i));
                if let (Some((_, _, histogram)), Values::F32(values)) =
                    (place.and_then(|i| tensors.get_mut(i)), &array.values)
                {
                    histogram.add(&name, values)?;
                }
            }
            done += 1;
            watch.advance(done, "runs")?;
        }
    }
    watch.progress.end();
    Ok(Calibrated { tensors })
}

/// The tensors of each run, so that none hands out more than [`MOST_BYTES`] (or a single tensor).
fn runs(
    graph: &Graph,
    frames: &Frames,
    tensors: &[(Value, String, Histogram)],
    inside: Vec<usize>,
) -> Result<Vec<Vec<usize>>, ExportError> {
    let bound = frames.bind(graph)?;
    let bytes = |i: usize| {
        let dims = tensors.get(i).map(|(value, ..)| bound.type_of(*value).dims.as_slice()).unwrap_or_default();
        let extent = |dim: &Dim| if let Dim::Fixed(n) = dim { *n } else { 1 };
        dims.iter().map(extent).product::<usize>().saturating_mul(size_of::<f32>())
    };
    let mut runs: Vec<Vec<usize>> = Vec::new();
    let mut left = 0usize;
    for i in inside {
        match runs.last_mut().filter(|_| bytes(i) <= left) {
            Some(run) => run.push(i),
            None => {
                runs.push(vec![i]);
                left = MOST_BYTES;
            }
        }
        left = left.saturating_sub(bytes(i));
    }
    Ok(runs)
}
