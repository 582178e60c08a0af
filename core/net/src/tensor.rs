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
    /// A named extent and so many more, or fewer, as behind a border.
    Shifted {
        /// The name.
        name: String,
        /// How many more; never 0.
        by: isize,
    },
    /// Follows from a named extent in a way that is not tracked.
    Any,
}

impl Dim {
    /// Whether the two can be equal.
    pub(crate) fn agrees(&self, other: &Dim) -> bool {
        match (self, other) {
            (Dim::Fixed(a), Dim::Fixed(b)) => a == b,
            (Dim::Any, _) | (_, Dim::Any) => true,
            (a, b) => a == b,
        }
    }

    /// This extent and `by` more; none where that leaves nothing.
    pub(crate) fn shifted(&self, by: isize) -> Option<Dim> {
        let (name, by) = match self {
            Dim::Fixed(n) => return n.checked_add_signed(by).filter(|n| *n > 0).map(Dim::Fixed),
            Dim::Any => return Some(Dim::Any),
            Dim::Named(name) => (name, by),
            Dim::Shifted { name, by: before } => (name, before.checked_add(by)?),
        };
        Some(if by == 0 { Dim::Named(name.clone()) } else { Dim::Shifted { name: name.clone(), by } })
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(n) => write!(f, "{n}"),
            Dim::Named(name) => f.write_str(name),
            Dim::Shifted { name, by } => write!(f, "{name}{by:+}"),
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

#[cfg(test)]
mod tests {
    use super::Dim;

    #[test]
    fn what_a_border_adds_a_window_takes_away() {
        let height = Dim::Named("height".to_owned());
        let bordered = height.shifted(2).unwrap();
        assert_eq!(
            (bordered.to_string().as_str(), height.shifted(-3).unwrap().to_string().as_str()),
            ("height+2", "height-3")
        );
        assert_eq!(bordered.shifted(-2).unwrap(), height);
        assert!(!bordered.agrees(&height) && bordered.agrees(&Dim::Any) && bordered.agrees(&bordered.clone()));
        assert_eq!([Dim::Fixed(5).shifted(-4), Dim::Fixed(5).shifted(-5)], [Some(Dim::Fixed(1)), None]);
        assert_eq!(Dim::Any.shifted(7), Some(Dim::Any));
    }
}
