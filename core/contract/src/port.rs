//! Inputs and outputs: names, element types, extents, meaning.

use caf_geometry::Size;
use serde::{Deserialize, Serialize};

/// The most elements that an input or output may have: a gigabyte of floats. Ten images of 3840×2160 pixels in colour have
/// fewer.
pub const MOST_ELEMENTS: usize = 1 << 28;

/// The number of elements of a tensor with these extents, in 1..=[`MOST_ELEMENTS`]; `None` outside.
pub fn elements(extents: impl IntoIterator<Item = usize>) -> Option<usize> {
    // Checked at every step: behind a 0 the rest would not be looked at.
    extents
        .into_iter()
        .try_fold(1_usize, |product, extent| product.checked_mul(extent).filter(|n| (1..=MOST_ELEMENTS).contains(n)))
}

/// Element type of a model's input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    /// Unsigned bytes. Images are 0–255, laid out batch, height, width, channel.
    U8,
    /// 32-bit floats; images are in [0, 1], laid out batch, channel, height, width.
    F32,
}

impl Element {
    /// Short name: `u8`, `f32`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::F32 => "f32",
        }
    }

    /// Axes of an image of this element type: height, width, channel.
    #[must_use]
    pub const fn image_axes(self) -> (usize, usize, usize) {
        match self {
            Self::U8 => (1, 2, 3),
            Self::F32 => (2, 3, 1),
        }
    }
}

/// What the channels of an image mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// One channel.
    Gray,
    /// Three channels, red first.
    Rgb,
    /// Not an image.
    None,
}

impl Colour {
    /// Channels of such an image; 0 for what is none.
    #[must_use]
    pub const fn channels(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb => 3,
            Self::None => 0,
        }
    }
}

/// One extent of a tensor: in JSON a number, a name, or `"?"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub enum Extent {
    /// Always this many.
    Fixed(usize),
    /// Chosen by the caller; equal names mean equal extents.
    Named(String),
    /// Follows from the caller's choices in a way that only the graph knows.
    Open,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(usize),
    Text(String),
}

/// How [`Extent::Open`] is written.
const OPEN: &str = "?";

impl From<Written> for Extent {
    fn from(written: Written) -> Self {
        match written {
            Written::Number(n) => Self::Fixed(n),
            Written::Text(text) if text == OPEN => Self::Open,
            Written::Text(text) => Self::Named(text),
        }
    }
}

impl From<Extent> for Written {
    fn from(extent: Extent) -> Self {
        match extent {
            Extent::Fixed(n) => Self::Number(n),
            Extent::Named(name) => Self::Text(name),
            Extent::Open => Self::Text(OPEN.to_owned()),
        }
    }
}

impl Extent {
    /// Whether a graph's extent (negative where it is open) is this one.
    #[must_use]
    pub fn is(&self, found: i64) -> bool {
        match self {
            Self::Fixed(n) => usize::try_from(found) == Ok(*n),
            Self::Named(_) | Self::Open => found < 0,
        }
    }

    /// The number, where it is fixed.
    #[must_use]
    pub const fn fixed(&self) -> Option<usize> {
        match self {
            Self::Fixed(n) => Some(*n),
            Self::Named(_) | Self::Open => None,
        }
    }
}

impl std::fmt::Display for Extent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(n) => write!(f, "{n}"),
            Self::Named(name) => f.write_str(name),
            Self::Open => f.write_str(OPEN),
        }
    }
}

/// One input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Name in the ONNX graph.
    pub name: String,
    /// Element type, which also fixes the layout of images (see [`Element`]).
    pub element: Element,
    /// Extents in memory order.
    pub shape: Vec<Extent>,
    /// Meaning of the channels.
    pub colour: Colour,
}

impl Port {
    /// The size that images of this port are fixed to; `None` where a side is the caller's choice, or for no image.
    #[must_use]
    pub fn fixed_size(&self) -> Option<Size> {
        let (height, width, _) = self.element.image_axes();
        let side = |axis: usize| self.shape.get(axis).and_then(Extent::fixed);
        let (width, height) = side(width).zip(side(height))?;
        (self.colour != Colour::None).then_some(Size { width, height })
    }
}

/// For people: `vi: u8 [1, height, width, 3], RGB, 0 to 255`.
impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} [", self.name, self.element.name())?;
        for (i, extent) in self.shape.iter().enumerate() {
            write!(f, "{}{extent}", if i > 0 { ", " } else { "" })?;
        }
        let range = match self.element {
            Element::U8 => "0 to 255",
            Element::F32 => "0 to 1",
        };
        match self.colour {
            Colour::Gray => write!(f, "], gray, {range}"),
            Colour::Rgb => write!(f, "], RGB, {range}"),
            Colour::None => write!(f, "]"),
        }
    }
}

/// Elements of an array, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// Bytes.
    U8(Vec<u8>),
}

/// A dense array in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Elements.
    pub values: Values,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(element: Element, shape: Vec<Extent>) -> Port {
        Port { name: "ir".into(), element, shape, colour: Colour::Gray }
    }

    #[test]
    fn extents_of_a_graph_are_fixed_or_open() {
        assert!(Extent::Fixed(3).is(3) && !Extent::Fixed(3).is(4) && !Extent::Fixed(3).is(-1));
        assert!(Extent::Named("width".into()).is(-1) && !Extent::Named("width".into()).is(3));
        assert!(Extent::Open.is(-1) && !Extent::Open.is(3));
    }

    #[test]
    fn extents_are_numbers_names_or_a_question_mark() {
        let extents = vec![Extent::Fixed(1), Extent::Named("height".into()), Extent::Open];
        let text = serde_json::to_string(&extents).unwrap();
        assert_eq!(text, r#"[1,"height","?"]"#);
        assert_eq!(serde_json::from_str::<Vec<Extent>>(&text).unwrap(), extents);
    }

    #[test]
    fn a_port_reads_as_a_person_says_it() {
        let shape = vec![Extent::Fixed(1), Extent::Named("height".into()), Extent::Open, Extent::Fixed(1)];
        assert_eq!(port(Element::U8, shape).to_string(), "ir: u8 [1, height, ?, 1], gray, 0 to 255");
    }

    #[test]
    fn a_size_is_fixed_when_both_sides_are() {
        let fixed = [1, 1, 480, 640].map(Extent::Fixed).to_vec();
        assert_eq!(port(Element::F32, fixed.clone()).fixed_size(), Some(Size::new(640, 480)));
        let mut open = fixed;
        open[3] = Extent::Named("width".into());
        assert_eq!(port(Element::F32, open).fixed_size(), None);
    }

    #[test]
    fn elements_are_counted_without_overflow() {
        assert_eq!(elements([10, 2160, 3840, 3]), Some(248_832_000));
        assert_eq!(elements([1 << 28]), Some(MOST_ELEMENTS));
        for none in [&[(1 << 28) + 1][..], &[0, usize::MAX, usize::MAX], &[1 << 40, 1 << 40]] {
            assert_eq!(elements(none.iter().copied()), None, "{none:?}");
        }
    }
}
