//! What each node computes in.

use super::half::HalfPlan;
use super::int8::Int8Plan;
use caf_contract::Precision;
use caf_net::{Graph, Node};

/// What the nodes of a graph compute in.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Plan {
    /// All in single precision.
    #[default]
    Single,
    /// In half precision, but for some nodes.
    Half(HalfPlan),
    /// Some on 8-bit integers, all others in single precision.
    Int8(Int8Plan),
}

/// What one node computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    /// 32-bit floats.
    Single,
    /// 16-bit floats.
    Half,
    /// Floats that were 8-bit integers, which the engine turns into arithmetic on integers.
    Int8,
}

impl Plan {
    /// What a node of a graph computes in.
    pub(crate) fn of(&self, graph: &Graph, node: &Node) -> Arithmetic {
        match self {
            Plan::Half(half) if half.takes(graph, node) => Arithmetic::Half,
            Plan::Int8(int8) if int8.reads(node) => Arithmetic::Int8,
            Plan::Single | Plan::Half(_) | Plan::Int8(_) => Arithmetic::Single,
        }
    }

    /// What a contract calls it.
    #[must_use]
    pub fn precision(&self) -> Precision {
        match self {
            Plan::Single => Precision::Fp32,
            Plan::Half(_) => Precision::Fp16,
            Plan::Int8(_) => Precision::Int8,
        }
    }

    /// The part about integers.
    pub(crate) fn int8(&self) -> Option<&Int8Plan> {
        match self {
            Plan::Int8(int8) => Some(int8),
            Plan::Single | Plan::Half(_) => None,
        }
    }

    /// Whether half precision is only imitated: values are rounded to it, and stored and computed in single precision.
    pub(crate) fn imitates(&self) -> bool {
        matches!(self, Plan::Half(half) if half.imitated)
    }
}
