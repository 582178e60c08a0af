//! Which nodes work on integers, and what the integers stand for.
//!
//! Convolutions are chosen by name. Around them a value is written as integers where the engine can keep it so from one convolution to
//! the next: behind the ReLU or SiLU of a quantised convolution, in sums of two such values, and through joining, pooling and
//! enlarging in front of one. Such an op only moves integers, when what goes in and what comes out have the same steps: they get the
//! range of all together.

use super::steps::{Activations, Range, Steps};
use crate::error::ExportError;
use crate::fold::foldable;
use caf_net::{Activation, Graph, Node, Op, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Integers for convolutions and for what lies between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8Plan {
    settings: Int8Settings,
    convs: BTreeSet<String>,
    /// Nodes, by their values, that read integers.
    readers: HashSet<usize>,
    /// Values that exist as integers only.
    stored: HashSet<usize>,
    /// Of every value that is ever written as integers.
    steps: HashMap<usize, Steps>,
}

/// What integers are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Int8Settings {
    /// What activations are stored as.
    pub activations: Activations,
    /// Weights are integers from minus this to this: 127, or [`REDUCED`].
    pub most_weight: i8,
}

/// Largest weight that no sum of two products exceeds 16 bits with, 2 · 255 · 64 < 32768: what x86 without VNNI adds pairs in.
pub const REDUCED: i8 = 64;

impl Default for Int8Settings {
    fn default() -> Self {
        Int8Settings { activations: Activations::U8, most_weight: i8::MAX }
    }
}

/// The values whose ranges [`Int8Plan::new`] needs for these convolutions, in the graph's order.
#[must_use]
pub fn values_to_calibrate(graph: &Graph, convs: &BTreeSet<String>) -> Vec<Value> {
    let structure = Structure::of(graph, convs);
    let all = graph.inputs().iter().map(|i| i.value).chain(graph.nodes().iter().map(|n| n.output));
    all.filter(|v| structure.group.contains_key(&v.index())).collect()
}

/// The names of all convolutions of a graph, in its order.
pub fn convolutions(graph: &Graph) -> impl Iterator<Item = &Node> {
    graph.nodes().iter().filter(|node| matches!(node.op, Op::Conv(_)))
}

impl Int8Plan {
    /// Integers for the named convolutions. The graph must be written with normalisations folded.
    ///
    /// # Errors
    /// [`ExportError::Settings`] for a name of no convolution, and for a value without a range.
    pub fn new(
        graph: &Graph,
        convs: BTreeSet<String>,
        ranges: &HashMap<usize, Range>,
        settings: Int8Settings,
    ) -> Result<Self, ExportError> {
        if let Some(name) = convs.iter().find(|name| !convolutions(graph).any(|node| node.name == **name)) {
            return Err(ExportError::settings(format!("expected the name of a convolution, found `{name}`")));
        }
        let structure = Structure::of(graph, &convs);
        let mut joined: HashMap<usize, Range> = HashMap::new();
        for (value, group) in &structure.group {
            let range = ranges.get(value).ok_or_else(|| {
                ExportError::settings(format!("value {value} of the graph `{}` was not calibrated", graph.name()))
            })?;
            joined.entry(*group).and_modify(|all| *all = all.join(*range)).or_insert(*range);
        }
        let steps = (structure.group.iter())
            .filter_map(|(value, group)| Some((*value, Steps::over(*joined.get(group)?, settings.activations))))
            .collect();
        Ok(Int8Plan { settings, convs, readers: structure.readers, stored: structure.stored, steps })
    }

    /// The convolutions that work on integers.
    #[must_use]
    pub fn convs(&self) -> &BTreeSet<String> {
        &self.convs
    }

    /// What integers are used.
    #[must_use]
    pub fn settings(&self) -> Int8Settings {
        self.settings
    }

    /// Whether a node reads integers.
    pub(crate) fn reads(&self, node: &Node) -> bool {
        self.readers.contains(&node.output.index())
    }

    /// The steps of a value that exists as integers only.
    pub(crate) fn stored(&self, value: Value) -> Option<Steps> {
        self.stored.contains(&value.index()).then(|| self.steps(value)).flatten()
    }

    /// The steps of a value that is somewhere read as integers.
    pub(crate) fn steps(&self, value: Value) -> Option<Steps> {
        self.steps.get(&value.index()).copied()
    }
}

/// What follows from the choice of convolutions alone.
struct Structure {
    readers: HashSet<usize>,
    stored: HashSet<usize>,
    /// For every value written as integers the group with which it shares its steps.
    group: BTreeMap<usize, usize>,
}

impl Structure {
    fn of(graph: &Graph, convs: &BTreeSet<String>) -> Structure {
        let folds = foldable(graph);
        let mut of = Structure { readers: HashSet::new(), stored: HashSet::new(), group: BTreeMap::new() };
        let mut consumers: HashMap<usize, Vec<&Node>> = HashMap::new();
        for node in graph.nodes() {
            node.inputs.iter().for_each(|v| consumers.entry(v.index()).or_default().push(node));
        }
        // The one reader of a value that nobody else sees.
        let only_reader = |value: Value| match consumers.get(&value.index()).map(Vec::as_slice) {
            Some([reader]) if graph.uses(value) == 1 => Some(*reader),
            _ => None,
        };
        // At least 0 whatever its range was measured to be.
        let mut positive: HashSet<usize> = HashSet::new();
        for node in graph.nodes() {
            let is_positive = match &node.op {
                Op::Activation(Activation::Relu | Activation::Sigmoid) => true,
                _ if keeps_values(&node.op) => node.inputs.iter().all(|v| positive.contains(&v.index())),
                _ => false,
            };
            if is_positive {
                positive.insert(node.output.index());
            }
        }
        for node in graph.nodes() {
            match &node.op {
                Op::Conv(_) if convs.contains(&node.name) => {
                    of.reads(node);
                    let mut result = folds.get(&node.output.index()).map_or(node.output, |(_, output)| *output);
                    let reader = only_reader(result);
                    if let Some(relu) = reader.filter(|r| matches!(r.op, Op::Activation(Activation::Relu))) {
                        // Writing as integers cuts off below zero: the ReLU costs nothing.
                        result = relu.output;
                    }
                    of.stores(result);
                    if let Some(silu) = reader.filter(|r| matches!(r.op, Op::Activation(Activation::Silu))) {
                        of.reads(silu);
                        of.stores(silu.output);
                    }
                }
                Op::Add if node.inputs.iter().all(|v| of.stored.contains(&v.index())) => {
                    of.reads(node);
                    of.stores(node.output);
                }
                _ => {}
            }
        }
        for node in graph.nodes().iter().rev().filter(|node| keeps_values(&node.op)) {
            let read = consumers.get(&node.output.index()).into_iter().flatten();
            let wanted = read.into_iter().any(|reader| of.readers.contains(&reader.output.index()));
            // The steps of what is never negative begin at zero, which is what makes a ReLU free.
            let count = node.inputs.iter().filter(|v| positive.contains(&v.index())).count();
            if wanted && (count == 0 || count == node.inputs.len()) {
                of.reads(node);
                of.stores(node.output);
                node.inputs.iter().for_each(|v| of.share(node.output, *v));
            }
        }
        of
    }

    fn reads(&mut self, node: &Node) {
        self.readers.insert(node.output.index());
        for value in &node.inputs {
            self.group.entry(value.index()).or_insert(value.index());
        }
    }

    fn stores(&mut self, value: Value) {
        self.stored.insert(value.index());
        self.group.entry(value.index()).or_insert(value.index());
    }

    /// Gives two values, and all that share steps with them, the same steps.
    fn share(&mut self, a: Value, b: Value) {
        let (Some(&to), Some(&from)) = (self.group.get(&a.index()), self.group.get(&b.index())) else { return };
        self.group.values_mut().filter(|group| **group == from).for_each(|group| *group = to);
    }
}

/// Ops whose result has no values but those of their inputs, which integers pass through as they are.
fn keeps_values(op: &Op) -> bool {
    matches!(op, Op::Concat { axis: 1 } | Op::MaxPool { .. } | Op::UpsampleNearest { .. })
}
