//! What an exported model promises to whoever runs it.
//!
//! `caf-export` writes a [`Contract`] as one JSON value under the metadata key [`METADATA_KEY`] of the ONNX file;
//! `caf-runtime` reads it and refuses a model whose promise it cannot keep. The two crates share nothing else, so that a
//! vehicle needs neither the networks nor the training code.

mod ir_range;

use serde::{Deserialize, Serialize};

pub use ir_range::{IrLimits, IrRange, IrRangeError, IrSample, IrScratch, LEAST_USED_SHARE};

/// Key of the contract in the ONNX file's `metadata_props`.
pub const METADATA_KEY: &str = "caf.contract";

/// The version this code writes and reads.
pub const VERSION: u32 = 1;

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

/// Name of the infrared input.
pub const INPUT_IR: &str = "ir";
/// Name of the visible input.
pub const INPUT_VI: &str = "vi";
/// Name of a lone detector's input.
pub const INPUT_IMAGE: &str = "image";
/// Name of the fused output.
pub const OUTPUT_FUSED: &str = "fused";
/// Name of the decoded, not yet suppressed detections: `[batch, rows, 5 + classes]`, each row
/// `cx cy w h objectness class…`, boxes in pixels of the letterboxed detector input.
pub const OUTPUT_PREDICTIONS: &str = "predictions";

/// What a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// `ir`, `vi` → `fused`.
    Fusion,
    /// `image` → `predictions`.
    Detector,
    /// `ir`, `vi` → `fused`, `predictions`: the fused image never leaves the device in between.
    Pipeline,
}

/// Element type of a model's input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    /// Unsigned bytes, 0–255, laid out batch, height, width, channel.
    U8,
    /// 32-bit floats; images are in [0, 1], laid out batch, channel, height, width.
    F32,
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

/// One extent of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Extent {
    /// Always this many.
    Fixed(usize),
    /// Chosen by the caller; equal names mean equal extents.
    Named(String),
}

impl Extent {
    /// Whether a graph's extent (negative where it is open) is this one.
    #[must_use]
    pub fn is(&self, found: i64) -> bool {
        match self {
            Self::Fixed(n) => usize::try_from(found) == Ok(*n),
            Self::Named(_) => found < 0,
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

/// For people: `vi: u8 [1, height, width, 3], RGB, 0 to 255`.
impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (element, range) = match self.element {
            Element::U8 => ("u8", "0 to 255"),
            Element::F32 => ("f32", "0 to 1"),
        };
        write!(f, "{}: {element} [", self.name)?;
        for (i, extent) in self.shape.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            match extent {
                Extent::Fixed(n) => write!(f, "{comma}{n}")?,
                Extent::Named(name) => write!(f, "{comma}{name}")?,
            }
        }
        match self.colour {
            Colour::Gray => write!(f, "], gray, {range}"),
            Colour::Rgb => write!(f, "], RGB, {range}"),
            Colour::None => write!(f, "]"),
        }
    }
}

/// How a detector sees the image: scaled by `ratio`, then padded to `height`×`width` with gray 114.
///
/// A box maps back with `x = (x_net - pad_left_px) / ratio`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LetterboxContract {
    /// Height of the detector's input in pixels.
    pub height_px: usize,
    /// Width of the detector's input in pixels.
    pub width_px: usize,
    /// Network pixels per image pixel.
    pub ratio: f64,
    /// Unrounded half of the horizontal padding in network pixels.
    pub pad_left_px: f64,
    /// Unrounded half of the vertical padding in network pixels.
    pub pad_top_px: f64,
}

impl LetterboxContract {
    /// Whether some image is fitted so: a positive finite ratio, and borders that leave room within the input.
    fn is_possible(&self) -> bool {
        let within = |pad: f64, side: usize| pad >= 0.0 && 2.0 * pad < side as f64;
        self.ratio.is_finite()
            && self.ratio > 0.0
            && within(self.pad_left_px, self.width_px)
            && within(self.pad_top_px, self.height_px)
    }
}

/// The detector inside a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorContract {
    /// Class names in the order of the prediction columns.
    pub classes: Vec<String>,
    /// From image to network pixels.
    pub letterbox: LetterboxContract,
}

/// A file the model was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What it holds: `fusion` or `task`.
    pub role: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
}

/// The whole promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// [`VERSION`] at the time of writing.
    pub version: u32,
    /// What the model is.
    pub role: Role,
    /// Numeric precision of the weights and arithmetic: `fp32`, `fp16`, `int8`.
    pub precision: String,
    /// Inputs in graph order.
    pub inputs: Vec<Port>,
    /// Outputs in graph order.
    pub outputs: Vec<Port>,
    /// Present when the model detects.
    pub detector: Option<DetectorContract>,
    /// Files the weights came from.
    pub sources: Vec<Source>,
}

/// Why a contract cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The metadata has no such key.
    #[error("the model carries no `{METADATA_KEY}` in its metadata: it was not written by caf-export")]
    Missing,
    /// The value is not a contract.
    #[error("the model's `{METADATA_KEY}` is not a contract this program understands: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Another version.
    #[error("the model's contract has version {found}, this program reads version {VERSION}: export the model again")]
    Version {
        /// What the file says.
        found: u32,
    },
    /// A detector that no image can be fitted to.
    #[error(
        "the contract's detector: expected at least one class, an input of at least one pixel, a positive scale and borders \
         within the input, found {classes} classes and {letterbox:?}"
    )]
    Detector {
        /// Number of class names.
        classes: usize,
        /// What the file says.
        letterbox: LetterboxContract,
    },
    /// An input or output that no memory holds, or that holds nothing.
    #[error("the contract's `{port}`: expected from 1 to {MOST_ELEMENTS} elements")]
    Elements {
        /// The port for people.
        port: String,
    },
    /// A port is absent.
    #[error("the contract lists no {direction} named `{name}`; it has: {present}")]
    Port {
        /// `input` or `output`.
        direction: &'static str,
        /// The name looked for.
        name: &'static str,
        /// The names there are.
        present: String,
    },
}

impl Contract {
    /// The JSON text stored in the model.
    pub fn to_json(&self) -> Result<String, ContractError> {
        Ok(serde_json::to_string(self)?)
    }

    /// Reads the metadata value; `None` stands for an absent key.
    pub fn from_metadata(value: Option<&str>) -> Result<Self, ContractError> {
        /// Only the version, so that a later version is named before its unknown fields are.
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let text = value.ok_or(ContractError::Missing)?;
        let head: Head = serde_json::from_str(text)?;
        if head.version != VERSION {
            return Err(ContractError::Version { found: head.version });
        }
        let contract: Contract = serde_json::from_str(text)?;
        contract.check_extents()?;
        match &contract.detector {
            Some(DetectorContract { classes, letterbox }) if classes.is_empty() || !letterbox.is_possible() => {
                Err(ContractError::Detector { classes: classes.len(), letterbox: *letterbox })
            }
            _ => Ok(contract),
        }
    }

    /// Checks that every input and output has between 1 and [`MOST_ELEMENTS`] elements where its named extents are 1.
    ///
    /// # Errors
    /// [`ContractError::Elements`] for the first that has not.
    pub fn check_extents(&self) -> Result<(), ContractError> {
        let extent = |extent: &Extent| match extent {
            Extent::Fixed(n) => *n,
            Extent::Named(_) => 1,
        };
        let impossible = |port: &&Port| elements(port.shape.iter().map(extent)).is_none();
        match self.inputs.iter().chain(&self.outputs).find(impossible) {
            Some(port) => Err(ContractError::Elements { port: port.to_string() }),
            None => Ok(()),
        }
    }

    /// The input of that name.
    pub fn input(&self, name: &'static str) -> Result<&Port, ContractError> {
        find(&self.inputs, name, "input")
    }

    /// The output of that name.
    pub fn output(&self, name: &'static str) -> Result<&Port, ContractError> {
        find(&self.outputs, name, "output")
    }
}

fn find<'a>(ports: &'a [Port], name: &'static str, direction: &'static str) -> Result<&'a Port, ContractError> {
    ports.iter().find(|p| p.name == name).ok_or_else(|| ContractError::Port {
        direction,
        name,
        present: ports.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Contract {
        Contract {
            version: VERSION,
            role: Role::Fusion,
            precision: "fp32".into(),
            inputs: vec![Port {
                name: INPUT_IR.into(),
                element: Element::U8,
                shape: vec![
                    Extent::Fixed(1),
                    Extent::Named("height".into()),
                    Extent::Named("width".into()),
                    Extent::Fixed(1),
                ],
                colour: Colour::Gray,
            }],
            outputs: vec![],
            detector: None,
            sources: vec![],
        }
    }

    #[test]
    fn survives_the_round_trip() {
        let c = sample();
        assert_eq!(Contract::from_metadata(Some(&c.to_json().unwrap())).unwrap(), c);
    }

    #[test]
    fn says_which_version_it_found() {
        let text = sample().to_json().unwrap().replace("\"version\":1", "\"version\":7,\"new_field\":0");
        assert!(matches!(Contract::from_metadata(Some(&text)), Err(ContractError::Version { found: 7 })));
    }

    #[test]
    fn an_impossible_detector_is_refused() {
        let good = LetterboxContract { height_px: 64, width_px: 96, ratio: 0.5, pad_left_px: 0.0, pad_top_px: 10.5 };
        let read = |letterbox, classes: &[&str]| {
            let classes = classes.iter().map(|c| (*c).to_owned()).collect();
            let contract = Contract { detector: Some(DetectorContract { classes, letterbox }), ..sample() };
            Contract::from_metadata(Some(&contract.to_json().unwrap()))
        };
        assert!(read(good, &["car"]).is_ok());
        assert!(matches!(read(good, &[]), Err(ContractError::Detector { classes: 0, .. })));
        for bad in [
            LetterboxContract { ratio: 0.0, ..good },
            LetterboxContract { ratio: -1e300, ..good },
            LetterboxContract { height_px: 0, ..good },
            LetterboxContract { pad_top_px: 1e99, ..good },
            LetterboxContract { pad_left_px: -1.0, ..good },
        ] {
            assert!(matches!(read(bad, &["car"]), Err(ContractError::Detector { .. })), "{bad:?}");
        }
    }

    #[test]
    fn extents_that_no_memory_holds_are_refused() {
        assert_eq!(elements([10, 2160, 3840, 3]), Some(248_832_000));
        assert_eq!(elements([1 << 28]), Some(MOST_ELEMENTS));
        for bad in [&[(1 << 28) + 1][..], &[4096, 65_535, 65_535, 3], &[0, usize::MAX, usize::MAX], &[1 << 40, 1 << 40]]
        {
            assert_eq!(elements(bad.iter().copied()), None, "{bad:?}");
            let mut contract = sample();
            contract.inputs[0].shape = bad.iter().map(|n| Extent::Fixed(*n)).collect();
            let read = Contract::from_metadata(Some(&contract.to_json().unwrap()));
            assert!(matches!(read, Err(ContractError::Elements { port }) if port.starts_with("ir: u8 [")), "{bad:?}");
        }
    }

    #[test]
    fn absent_and_foreign_metadata_are_told_apart() {
        assert!(matches!(Contract::from_metadata(None), Err(ContractError::Missing)));
        assert!(matches!(Contract::from_metadata(Some("{}")), Err(ContractError::Malformed(_))));
    }

    #[test]
    fn extents_of_a_graph_are_fixed_or_open() {
        assert!(Extent::Fixed(3).is(3) && !Extent::Fixed(3).is(4) && !Extent::Fixed(3).is(-1));
        assert!(Extent::Named("width".into()).is(-1) && !Extent::Named("width".into()).is(3));
    }

    #[test]
    fn a_port_reads_as_a_person_says_it() {
        assert_eq!(sample().inputs[0].to_string(), "ir: u8 [1, height, width, 1], gray, 0 to 255");
        let port =
            Port { name: "p".into(), element: Element::F32, shape: vec![Extent::Fixed(3)], colour: Colour::None };
        assert_eq!(port.to_string(), "p: f32 [3]");
    }

    #[test]
    fn a_missing_port_lists_those_present() {
        let error = sample().input(INPUT_VI).unwrap_err().to_string();
        assert!(error.contains("`vi`") && error.ends_with("ir"), "{error}");
    }
}
