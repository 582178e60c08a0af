//! A class for every pixel.

use super::{Part, Promise, Quantity, Task, TaskContract};
use crate::port::{Colour, Element, Extent, Port};
use caf_geometry::Size;
use serde::{Deserialize, Serialize};

/// The label of a pixel that counts for nothing: no class, neither right nor wrong. All published masks that have one use this number.
pub const IGNORED_LABEL: u8 = 255;

/// Most classes that a map of bytes can hold.
pub const MOST_MAP_CLASSES: usize = 256;

/// The task.
pub const SEGMENTATION: Task = Task {
    name: "segmentation",
    verb: "segments",
    output: "class_map",
    is_fitted: false,
    has_thresholds: false,
    score: "mIoU",
    contract: |classes, _| {
        TaskContract::Segmentation(SegmentationContract {
            output: SEGMENTATION.output.to_owned(),
            classes,
            ignored_label: Some(IGNORED_LABEL),
            palette: None,
        })
    },
};

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

impl Promise for SegmentationContract {
    fn task(&self) -> &'static Task {
        &SEGMENTATION
    }

    fn output(&self) -> &str {
        &self.output
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn input(&self) -> Option<Size> {
        None
    }

    fn port(&self) -> Port {
        let shape = ["batch", "height", "width"].map(|name| Extent::Named(name.to_owned())).to_vec();
        Port { name: self.output.clone(), element: Element::U8, shape, colour: Colour::None }
    }

    fn output_shape(&self, image: Size) -> Option<Vec<usize>> {
        Some(vec![1, image.height, image.width])
    }

    fn fault(&self) -> Option<(String, String)> {
        let count = self.classes.len();
        if !(1..=MOST_MAP_CLASSES).contains(&count) {
            return Some((format!("from 1 to {MOST_MAP_CLASSES} classes"), count.to_string()));
        }
        let colours = self.palette.as_ref().map(Vec::len).filter(|colours| *colours != count);
        colours.map(|colours| (format!("a colour for each of {count} classes"), colours.to_string()))
    }

    fn parts(&self) -> Vec<Part> {
        vec![Part::whole(Quantity::Classes)]
    }
}
