//! Boxes of objects.

use super::{Part, Promise, Quantity, Task, TaskContract};
use crate::port::{Colour, Element, Extent, Port};
use caf_geometry::Size;
use serde::{Deserialize, Serialize};

/// Columns of a row before its classes: the box, and the objectness.
const BOX_COLUMNS: usize = 4;
const COLUMNS_BEFORE_CLASSES: usize = BOX_COLUMNS + 1;

/// The task.
pub const DETECTION: Task = Task {
    name: "detection",
    verb: "detects",
    output: "predictions",
    is_fitted: true,
    has_thresholds: true,
    score: "mAP50",
    contract: |classes, input| {
        TaskContract::Detection(DetectionContract { output: DETECTION.output.to_owned(), classes, input })
    },
};

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

impl Promise for DetectionContract {
    fn task(&self) -> &'static Task {
        &DETECTION
    }

    fn output(&self) -> &str {
        &self.output
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn input(&self) -> Option<Size> {
        Some(self.input)
    }

    fn port(&self) -> Port {
        let columns = self.classes.len().saturating_add(COLUMNS_BEFORE_CLASSES);
        let shape = vec![Extent::Named("batch".to_owned()), Extent::Named("rows".to_owned()), Extent::Fixed(columns)];
        Port { name: self.output.clone(), element: Element::F32, shape, colour: Colour::None }
    }

    fn output_shape(&self, _: Size) -> Option<Vec<usize>> {
        None
    }

    fn fault(&self) -> Option<(String, String)> {
        if self.classes.is_empty() {
            return Some(("at least one class".to_owned(), "none".to_owned()));
        }
        let possible = self.input.is_possible();
        (!possible).then(|| ("an input with sides from 1 to 65535 pixels".to_owned(), self.input.to_string()))
    }

    /// Boxes and probabilities, which have no common unit.
    fn parts(&self) -> Vec<Part> {
        let longer_px = self.input.height.max(self.input.width);
        let boxes = Part { name: Some("boxes"), columns: BOX_COLUMNS, quantity: Quantity::Pixels { longer_px } };
        let scores = Part { name: Some("scores"), columns: usize::MAX, quantity: Quantity::Numbers { much: 1.0 } };
        vec![boxes, scores]
    }
}
