//! What a model does besides fusing: one entry for each task.

use crate::port::{Colour, Element, Extent, Port};
use caf_geometry::Size;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The label of a pixel that counts for nothing: no class, neither right nor wrong. All published masks that have one use this number.
pub const IGNORED_LABEL: u8 = 255;

/// Name of a detector's output.
pub const OUTPUT_PREDICTIONS: &str = "predictions";
/// Name of a segmentation's output.
pub const OUTPUT_CLASS_MAP: &str = "class_map";

/// Most classes that a map of bytes can hold.
pub const MOST_MAP_CLASSES: usize = 256;

/// One task of a model; `"task"` in JSON says which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "lowercase")]
pub enum TaskContract {
    /// Boxes of objects.
    Detection(DetectionContract),
    /// A class for every pixel.
    Segmentation(SegmentationContract),
}

/// A detector. Its output is f32 `[batch, rows, 5 + classes]`, decoded but not yet suppressed: each row is
/// `cx cy w h objectness class…`, boxes in pixels of the letterboxed input, scores in [0, 1].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectionContract {
    /// Name of the output.
    pub output: String,
    /// Class names in the order of the columns.
    pub classes: Vec<String>,
    /// Size of the detector's input. Images are fitted into it, and boxes mapped back, by [`caf_geometry::Letterbox::within`].
    pub input: Size,
}

/// A segmentation. Its output is u8 `[batch, height, width]`, the number of the most likely class of every pixel of the
/// image, at the image's own size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentationContract {
    /// Name of the output.
    pub output: String,
    /// Class names by number.
    pub classes: Vec<String>,
    /// Value in label files of pixels that belong to no class and were not learnt from; never in the output.
    pub ignored_label: Option<u8>,
    /// Colours to show the classes in, red green blue, one for each class.
    pub palette: Option<Vec<[u8; 3]>>,
}

/// For people: what it is and what it sees.
impl fmt::Display for TaskContract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Detection(task) => write!(f, "detection of the image fitted into {} pixels", task.input),
            Self::Segmentation(_) => f.write_str("segmentation at the image's own size"),
        }
    }
}

impl TaskContract {
    /// Names of all tasks, as the JSON has them.
    pub const NAMES: [&str; 2] = ["detection", "segmentation"];

    /// Its name, as the JSON has it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Detection(_) => "detection",
            Self::Segmentation(_) => "segmentation",
        }
    }

    /// What a model with it does, for people.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Detection(_) => "detects",
            Self::Segmentation(_) => "segments",
        }
    }

    /// Name of its output.
    #[must_use]
    pub fn output(&self) -> &str {
        match self {
            Self::Detection(task) => &task.output,
            Self::Segmentation(task) => &task.output,
        }
    }

    /// Class names by number.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        match self {
            Self::Detection(task) => &task.classes,
            Self::Segmentation(task) => &task.classes,
        }
    }

    /// What its output should be, where a port is none such.
    pub(crate) fn expected_port(&self, port: &Port) -> Option<String> {
        let classes = self.classes().len();
        let (element, last, expected) = match self {
            Self::Detection(_) => {
                let columns = classes.saturating_add(5);
                (Element::F32, Some(columns), format!("f32 [batch, rows, {columns}] for {classes} classes"))
            }
            Self::Segmentation(_) => (Element::U8, None, "u8 [batch, height, width]".to_owned()),
        };
        let fits = port.element == element
            && port.colour == Colour::None
            && port.shape.len() == 3
            && last.is_none_or(|extent| port.shape.get(2) == Some(&Extent::Fixed(extent)));
        (!fits).then_some(expected)
    }

    /// What is impossible about it, whatever the graph: expectation and finding.
    pub(crate) fn fault(&self) -> Option<(String, String)> {
        let count = self.classes().len();
        match self {
            Self::Detection(_) if count == 0 => Some(("at least one class".into(), "none".into())),
            Self::Detection(task) if !task.input.is_possible() => {
                Some(("an input with sides from 1 to 65535 pixels".into(), task.input.to_string()))
            }
            Self::Detection(_) => None,
            Self::Segmentation(_) if !(1..=MOST_MAP_CLASSES).contains(&count) => {
                Some((format!("from 1 to {MOST_MAP_CLASSES} classes"), count.to_string()))
            }
            Self::Segmentation(task) => match &task.palette {
                Some(palette) if palette.len() != count => {
                    Some((format!("a colour for each of {count} classes"), palette.len().to_string()))
                }
                _ => None,
            },
        }
    }
}
