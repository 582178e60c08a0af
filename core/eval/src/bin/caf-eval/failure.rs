//! What can go wrong at the command line.

use std::fmt;
use std::path::PathBuf;

use caf_eval::EvalError;
use caf_geometry::Size;
use caf_image::{ImageError, ImageProblem};
use thiserror::Error;

/// Why a command stopped.
#[derive(Debug, Error)]
pub enum Failure {
    /// What was typed is wrong in itself.
    #[error(transparent)]
    Call(#[from] caf_console::WrongCall),
    /// A folder or list without anything to measure.
    #[error("{option}: nothing to measure in {}; expected {expected}", path.display())]
    Empty {
        /// The option.
        option: &'static str,
        /// Its value.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
    },
    /// Everything that is wrong with the inputs, at once.
    #[error("{} of the inputs cannot be used:\n{}", .0.len(), lines(.0))]
    Offences(Vec<Offence>),
    /// A file or folder that cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A result that cannot be handed over.
    #[error(transparent)]
    Output(#[from] caf_console::OutputError),
    /// The measurement refused its input, or does not exist.
    #[error(transparent)]
    Eval(#[from] EvalError),
}

impl Failure {
    /// Whether what was typed is wrong, in contrast to the files.
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Call(_) => true,
            Self::Eval(error) => error.is_wrong_call(),
            Self::Image(error) => error.is_wrong_call(),
            Self::Empty { .. } | Self::Offences(_) | Self::Output(_) => false,
        }
    }
}

fn lines(offences: &[Offence]) -> String {
    offences.iter().map(|o| format!("  {o}")).collect::<Vec<_>>().join("\n")
}

/// One thing that is wrong with one input.
#[derive(Debug)]
pub struct Offence {
    /// The file, or the name that has none; empty where the reason names it.
    pub place: PathBuf,
    /// Line in the file, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: Reason,
}

impl Offence {
    /// An offence of a whole file.
    pub fn of(place: impl Into<PathBuf>, reason: Reason) -> Self {
        Self { place: place.into(), line: None, reason }
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.as_os_str().is_empty() {
            return self.reason.fmt(f);
        }
        write!(f, "{}", self.place.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What is wrong with an input.
#[derive(Debug, Error)]
pub enum Reason {
    /// A name without its file in one of the folders.
    #[error("no file of this name for {option}")]
    Missing {
        /// The folder's option.
        option: &'static str,
    },
    /// A file that does not belong into a folder.
    #[error(transparent)]
    Folder(#[from] ImageProblem),
    /// An image that cannot be read.
    #[error("{}", .0.reason())]
    Image(#[from] ImageError),
    /// A name that is listed twice.
    #[error("{name} is listed a second time, first on line {first_line}")]
    ListedTwice {
        /// The name.
        name: String,
        /// Line of the first mention.
        first_line: usize,
    },
    /// A bad line of a label file.
    #[error("expected {expected}, found {found}")]
    Line {
        /// What it should hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// A predicted class map of another size than the labelled one.
    #[error("expected {expected} as the label, found {found}")]
    MapSize {
        /// Size of the label.
        expected: Size,
        /// Size of the prediction.
        found: Size,
    },
    /// Planes that do not fit together.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// A text file that cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// A line with another number of columns.
    #[error("expected {expected}, found {found} columns")]
    Columns {
        /// The columns.
        expected: &'static str,
        /// Number found.
        found: usize,
    },
    /// A value that is no number of its column's range.
    #[error("{column}: expected {expected}, found {found:?}")]
    Value {
        /// The column.
        column: &'static str,
        /// Its range.
        expected: &'static str,
        /// The text.
        found: String,
    },
    /// A class beyond the list of classes.
    #[error("class {class}, but there are {classes} classes")]
    Class {
        /// The class.
        class: u32,
        /// Number of classes.
        classes: usize,
    },
    /// A file of predictions for an image that has no labels.
    #[error("predictions for an image that is not among the evaluated names")]
    NotEvaluated,
}
