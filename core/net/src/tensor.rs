//! What flows between nodes: values, and their element types and extents.

use serde::Serialize;
use std::fmt;

/// A tensor inside one graph: an input or the result of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Value(pub(crate) usize);

impl Value {
    /// Position among all values of the graph: inputs first, then nodes in order.
    pub fn index(self) -> usize {
        self.0
    }
}

/// One extent of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Dim {
    /// Always this many.
    Fixed(usize),
    /// Chosen by the caller; equal names mean equal extents.
    Named(String),
    /// Follows from a named extent in a way that is not tracked.
    Any,
}

impl Dim {
    /// Whether the two can be equal.
    pub(crate) fn agrees(&self, other: &Dim) -> bool {
        match (self, other) {
            (Dim::Fixed(a), Dim::Fixed(b)) => a == b,
            (Dim::Named(a), Dim::Named(b)) => a == b,
            (Dim::Any, _) | (_, Dim::Any) => true,
            (Dim::Fixed(_), Dim::Named(_)) | (Dim::Named(_), Dim::Fixed(_)) => false,
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(n) => write!(f, "{n}"),
            Dim::Named(name) => f.write_str(name),
            Dim::Any => f.write_str("?"),
        }
    }
}

/// Element type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Element {
    /// Floats.
    F32,
    /// Bytes.
    U8,
}

/// Element type and extents of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorType {
    /// Element type.
    pub element: Element,
    /// Extents, outermost first.
    pub dims: Vec<Dim>,
}

impl TensorType {
    /// Floats laid out batch, channel, height, width.
    pub fn nchw(batch: Dim, channels: usize, height: Dim, width: Dim) -> Self {
        TensorType { element: Element::F32, dims: vec![batch, Dim::Fixed(channels), height, width] }
    }

    /// Bytes laid out batch, height, width, channel.
    pub fn nhwc_bytes(batch: Dim, height: Dim, width: Dim, channels: usize) -> Self {
        TensorType { element: Element::U8, dims: vec![batch, height, width, Dim::Fixed(channels)] }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.element {
            Element::F32 => "f32[",
            Element::U8 => "u8[",
        })?;
        for (i, dim) in self.dims.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{dim}")?;
        }
        f.write_str("]")
    }
}
