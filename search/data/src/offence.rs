//! What does not fit in a data set's folder. Opening collects everything and tells it in one error.

use std::path::PathBuf;

use caf_image::ImageProblem;

/// One thing in a data set's folder that does not fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Offence {
    /// An image, or a pair of them.
    #[error(transparent)]
    Image(#[from] ImageProblem),
    /// A pair without a label file where labels are required.
    #[error("{name}: expected the label file {}", path.display())]
    MissingLabels {
        /// The pair.
        name: String,
        /// The file looked for.
        path: PathBuf,
    },
    /// Labels are required, and the layout has none.
    #[error("the layout {layout} has no boxes for {pairs} of these pairs")]
    NoLabels {
        /// Name of the layout.
        layout: &'static str,
        /// How many pairs.
        pairs: usize,
    },
    /// A pair without a class mask where masks are required.
    #[error("{name}: expected the class mask {}", path.display())]
    MissingMask {
        /// The pair.
        name: String,
        /// The file looked for.
        path: PathBuf,
    },
    /// Masks are required, and the layout has none.
    #[error("the layout {layout} has no class masks for {pairs} of these pairs")]
    NoMasks {
        /// Name of the layout.
        layout: &'static str,
        /// How many pairs.
        pairs: usize,
    },
    /// A label, ignore or mask file that belongs to no pair.
    #[error("{}: no pair of this name", path.display())]
    Orphan {
        /// The file.
        path: PathBuf,
    },
    /// A label file that cannot be read.
    #[error("{}: cannot read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: String,
    },
    /// A bad line of a label file.
    #[error("{}:{line}: expected {expected}, found {found}", path.display())]
    LabelLine {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What the line should hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// The class names are missing where labels are required.
    #[error("{}: expected the class names, one a line", path.display())]
    MissingClasses {
        /// The file looked for.
        path: PathBuf,
    },
    /// A bad line of a file of class names.
    #[error("{}:{line}: expected a class name of its own, found {found:?}", path.display())]
    ClassLine {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What it holds.
        found: String,
    },
    /// A listed name of which there is no pair.
    #[error("{}:{line}: {name}: no file of this name in the images of the data set", list.display())]
    ListedMissing {
        /// The list.
        list: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The name as listed.
        name: String,
    },
    /// A name that is listed twice.
    #[error("{}:{line}: {name} is listed a second time, first on line {first_line}", list.display())]
    ListedTwice {
        /// The list.
        list: PathBuf,
        /// Line number of the repetition, from 1.
        line: usize,
        /// The name as listed.
        name: String,
        /// Line number of the first mention.
        first_line: usize,
    },
}
