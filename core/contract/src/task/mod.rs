//! What a model does besides fusing: one file for each task, which says all that is particular about it.
//!
//! A new task is a file beside this one, a variant of [`TaskContract`] with its arm in [`TaskContract::promise`], and a line in [`TASKS`].

mod counting;
mod detection;
mod segmentation;

pub use counting::{CELL_PX, COUNTING, CountingContract, counts};
pub use detection::{DETECTION, DetectionContract};
pub use segmentation::{IGNORED_LABEL, MOST_MAP_CLASSES, SEGMENTATION, SegmentationContract};

use crate::port::{Extent, Port};
use caf_geometry::Size;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Every task.
pub const TASKS: [&Task; 3] = [&DETECTION, &SEGMENTATION, &COUNTING];

/// One task of a model; `"task"` in JSON says which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "lowercase")]
pub enum TaskContract {
    /// Boxes of objects.
    Detection(DetectionContract),
    /// A class for every pixel.
    Segmentation(SegmentationContract),
    /// How many objects there are.
    Counting(CountingContract),
}

impl TaskContract {
    fn promise(&self) -> &dyn Promise {
        match self {
            Self::Detection(promise) => promise,
            Self::Segmentation(promise) => promise,
            Self::Counting(promise) => promise,
        }
    }
}

/// What a task is, whichever model does it.
#[derive(Debug)]
pub struct Task {
    /// Its name, as the JSON has it.
    pub name: &'static str,
    /// What a model with it does, for people.
    pub verb: &'static str,
    /// What models call its output.
    pub output: &'static str,
    /// Whether images are fitted into one size for it, or seen at their own.
    pub is_fitted: bool,
    /// Whether thresholds decide what of its output counts.
    pub has_thresholds: bool,
    /// What its results are scored by in points, of which 100 is best, for people.
    pub score: &'static str,
    /// The promise of a model with classes of these names, which sees images fitted into that size, if they are fitted.
    pub contract: fn(Vec<String>, Size) -> TaskContract,
}

/// There is one of each name.
impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Task {}

impl Task {
    /// The task of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TASKS.into_iter().find(|task| task.name == name)
    }

    /// The names of all for messages, with `word` before the last.
    #[must_use]
    pub fn names(word: &str) -> String {
        match TASKS.map(|task| task.name).as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} {word} {last}", first.join(", ")),
            names => names.concat(),
        }
    }
}

/// What the values of an output are, and so how those of two models are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// Lengths in pixels of an image, of which this is the longer side.
    Pixels {
        /// The side.
        longer_px: usize,
    },
    /// Numbers of which this is much: 1 of probabilities.
    Numbers {
        /// How much is much.
        much: f64,
    },
    /// Numbers of classes, which are names: 3 is no nearer to 2 than to 7.
    Classes,
}

/// Columns of an output, its last axis, that are one quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// What they are called beside the others; nothing where there are no others.
    pub name: Option<&'static str>,
    /// How many there are; those of the last part are all the rest.
    pub columns: usize,
    /// What their values are.
    pub quantity: Quantity,
}

impl Part {
    /// An output that is one quantity.
    pub(crate) const fn whole(quantity: Quantity) -> Self {
        Self { name: None, columns: usize::MAX, quantity }
    }

    /// What is compared under this name: the output, with the name of the part.
    #[must_use]
    pub fn title(&self, output: &str) -> String {
        self.name.map_or_else(|| output.to_owned(), |name| format!("{output}: {name}"))
    }
}

/// What a model promises of one task.
trait Promise {
    /// The task.
    fn task(&self) -> &'static Task;

    /// Name of its output.
    fn output(&self) -> &str;

    /// Class names by number.
    fn classes(&self) -> &[String];

    /// The size that images are fitted into, if they are.
    fn input(&self) -> Option<Size>;

    /// Its output in general: extents that follow from something else are named for people.
    fn port(&self) -> Port;

    /// Extents of its output for one image of a size; none where they follow from the network.
    fn output_shape(&self, image: Size) -> Option<Vec<usize>>;

    /// What is impossible about it, whatever the graph: expectation and finding.
    fn fault(&self) -> Option<(String, String)>;

    /// What its output is made of, in order; at least one.
    fn parts(&self) -> Vec<Part>;
}

/// For people: what it is and what it sees.
impl fmt::Display for TaskContract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.input() {
            Some(size) => write!(f, "{} of the image fitted into {size} pixels", self.name()),
            None => write!(f, "{} at the image's own size", self.name()),
        }
    }
}

impl TaskContract {
    /// Which task it is of.
    #[must_use]
    pub fn task(&self) -> &'static Task {
        self.promise().task()
    }

    /// Its name, as the JSON has it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.task().name
    }

    /// What a model with it does, for people.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        self.task().verb
    }

    /// Name of its output.
    #[must_use]
    pub fn output(&self) -> &str {
        self.promise().output()
    }

    /// Class names by number.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        self.promise().classes()
    }

    /// The size that images are fitted into for it; none where each is seen at its own.
    #[must_use]
    pub fn input(&self) -> Option<Size> {
        self.promise().input()
    }

    /// Its output in general: extents that follow from something else are named for people.
    #[must_use]
    pub fn port(&self) -> Port {
        self.promise().port()
    }

    /// Extents of its output for one image of a size; none where they follow from the network.
    #[must_use]
    pub fn output_shape(&self, image: Size) -> Option<Vec<usize>> {
        self.promise().output_shape(image)
    }

    /// What its output is made of, in order; at least one.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        self.promise().parts()
    }

    /// What its output should be, where a port is none such.
    pub(crate) fn expected_port(&self, port: &Port) -> Option<Port> {
        let expected = self.port();
        let fits = |(expected, found): (&Extent, &Extent)| expected.fixed().is_none() || expected == found;
        let is_such = (port.element, port.colour, port.shape.len())
            == (expected.element, expected.colour, expected.shape.len())
            && expected.shape.iter().zip(&port.shape).all(fits);
        (!is_such).then_some(expected)
    }

    /// What is impossible about it, whatever the graph: expectation and finding.
    pub(crate) fn fault(&self) -> Option<(String, String)> {
        self.promise().fault()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Contract;
    use crate::samples::{fusion, sample};

    #[test]
    fn every_task_is_what_its_file_says() {
        for task in TASKS {
            assert_eq!(TASKS.into_iter().filter(|other| *other == task).count(), 1, "{}", task.name);
            assert_eq!(Task::named(task.name), Some(task));
            let promise = sample(task, 3);
            assert_eq!((promise.task(), promise.output(), promise.classes().len()), (task, task.output, 3));
            assert_eq!((promise.input().is_some(), promise.port().name.as_str()), (task.is_fitted, task.output));
            assert_eq!(serde_json::to_value(&promise).unwrap()["task"], task.name);
            let shape = promise.output_shape(Size::new(64, 48));
            assert!(shape.is_none_or(|shape| shape.len() == promise.port().shape.len()), "{}", task.name);
            let (parts, contract) = (promise.parts(), fusion(vec![promise]));
            assert_eq!(Contract::from_metadata(Some(&contract.to_json().unwrap())).unwrap(), contract);
            assert!(contract.summary().ends_with(task.verb) && contract.task_of(task.output).is_some());
            assert!(parts.split_last().is_some_and(|(last, _)| last.columns == usize::MAX), "{parts:?}");
        }
    }
}
