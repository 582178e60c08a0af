//! Half precision: 11 significant bits, from 6e-8 to 65504.

use caf_net::{Element, Graph, Node, Op};
use std::collections::BTreeSet;

/// Which layers compute in half precision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HalfPlan {
    /// Layers (see [`layer_of`]) that stay in single precision.
    pub single: BTreeSet<String>,
    /// Every result is rounded to half precision but stored in single, and all arithmetic is single. That is how the loss is measured
    /// on a machine without such arithmetic: ONNX Runtime's CPU provider computes runs of half-precision nodes in single precision and
    /// leaves the roundings between them out, so that a real model shows less loss there than on a GPU.
    pub imitated: bool,
}

impl HalfPlan {
    /// Whether a node computes in half precision.
    pub(crate) fn takes(&self, graph: &Graph, node: &Node) -> bool {
        can_be_half(graph, node) && !self.single.contains(layer_of(&node.name))
    }
}

/// Whether a node has a form in half precision. Bytes enter and leave by single precision. Sizes and counts are exact in single
/// precision only: half precision has no odd numbers above 2048.
fn can_be_half(graph: &Graph, node: &Node) -> bool {
    let floats = node.inputs.iter().chain([&node.output]).all(|v| graph.type_of(*v).element == Element::F32);
    floats && !matches!(node.op, Op::Letterbox { .. } | Op::Indices { .. })
}

/// The layer that a node belongs to, a part of its name: `detection.model.9` of `detection.model.9.cv1.conv`, `fusion.dense.0` of
/// `fusion.dense.0.relu`, `vi` of `vi.luma.red`.
#[must_use]
pub fn layer_of(node: &str) -> &str {
    let mut end = 0;
    let mut words = 0;
    for part in node.split_inclusive('.') {
        let word = part.trim_end_matches('.');
        let number = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        // A scope, a module and its number.
        if words == 2 && !number {
            break;
        }
        end += part.len();
        words += usize::from(!number);
        if number && words >= 2 {
            break;
        }
    }
    node.get(..end).unwrap_or(node).trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_modules_with_their_numbers() {
        for (node, layer) in [
            ("detection.model.9.cv1.conv", "detection.model.9"),
            ("detection.model.24.m.0", "detection.model.24"),
            ("detection.decode.0.cx.in_cell", "detection.decode.0"),
            ("detection.decode", "detection.decode"),
            ("fusion.dense.0.relu", "fusion.dense.0"),
            ("fusion.encoder1.0", "fusion.encoder1.0"),
            ("fusion.encoder1.relu", "fusion.encoder1"),
            ("vi.luma.red.weighted", "vi.luma"),
            ("fused.rgb.change", "fused.rgb"),
            ("model.2.cv1.conv", "model.2.cv1"),
            ("x", "x"),
            ("", ""),
        ] {
            assert_eq!(layer_of(node), layer, "{node}");
        }
    }
}
