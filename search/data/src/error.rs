//! An error of this crate, with the place and what was expected and found.

use std::fmt;
use std::path::{Path, PathBuf};

use caf_geometry::Size;
use caf_image::ImageError;

use crate::leakage_report::LeakageReport;
use crate::offence::Offence;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The folder holds things that do not fit together; all of them are listed.
    #[error("{}", list_offences(root, offences))]
    Offences {
        /// The data set's root folder.
        root: PathBuf,
        /// Everything found, in the order of the names.
        offences: Vec<Offence>,
    },
    /// A folder that is no data set of a known layout, or of more than one.
    #[error("{}: {found}\n{}", root.display(), known.join("\n"))]
    Layout {
        /// The folder.
        root: PathBuf,
        /// What is wrong.
        found: String,
        /// What each layout looks for, one line each.
        known: Vec<String>,
    },
    /// A layout of this name does not exist.
    #[error("no layout `{name}`: expected one of {known}")]
    UnknownLayout {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A data set that is no folder.
    #[error("{}: expected a folder with a data set, found {found}", path.display())]
    NoFolder {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// A list that is neither a file nor a split of the layout.
    #[error("{}: no such list; {there}", path.display())]
    NoList {
        /// The file looked for.
        path: PathBuf,
        /// Which lists and splits there are.
        there: String,
    },
    /// Nothing to work on.
    #[error("{}: expected at least one {expected}, found none", path.display())]
    Empty {
        /// The folder or list.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
    },
    /// An image, a list or a folder that cannot be read or written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Sizes of arrays or images that do not fit.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// Which quantity.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A pair changed on disk after the data set was opened.
    #[error("{}: expected {expected} pixels as when the data set was opened, found {found}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Size at opening.
        expected: Size,
        /// Size now.
        found: Size,
    },
    /// An index past the end of the data set.
    #[error("there is no pair {index} in a data set of {len}")]
    Index {
        /// The index asked for.
        index: usize,
        /// Pairs in the data set.
        len: usize,
    },
    /// A setting outside its range.
    #[error("setting {name}: expected {expected}, found {found}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its range.
        expected: String,
        /// Its value.
        found: String,
    },
    /// An infrared range that says nothing.
    #[error("setting ir_range")]
    IrRange(#[from] caf_contract::ContractError),
    /// Training and validation share pairs.
    #[error("training and validation overlap\n{0}")]
    Overlap(Box<LeakageReport>),
    /// A text file with a bad line.
    #[error("{}:{line}: expected {expected}, found {found}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What the line should hold.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
    /// A file that describes the data set and does not say what it should.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What it should say.
        expected: &'static str,
        /// What it says.
        found: String,
    },
    /// A split that cannot be made from these names.
    #[error("cannot split {names} names of {scenes} scenes: {reason}")]
    Split {
        /// Names to be split.
        names: usize,
        /// Scenes they form.
        scenes: usize,
        /// Why not.
        reason: String,
    },
}

impl DataError {
    /// Whether what was asked for is wrong in itself, and not the content of a file or the disk.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Setting { .. }
            | Self::Layout { .. }
            | Self::UnknownLayout { .. }
            | Self::NoList { .. }
            | Self::NoFolder { .. } => true,
            Self::Image(error) => error.is_wrong_call(),
            Self::IrRange(error) => error.is_wrong_call(),
            Self::Offences { .. }
            | Self::Empty { .. }
            | Self::Shape { .. }
            | Self::Changed { .. }
            | Self::Index { .. }
            | Self::Overlap(_)
            | Self::Line { .. }
            | Self::Description { .. }
            | Self::Split { .. } => false,
        }
    }
}

/// How many offences an error message spells out; the rest is counted.
pub const PRINTED_OFFENCES: usize = 50;

fn list_offences(root: &Path, offences: &[Offence]) -> impl fmt::Display {
    let mut text = format!("{}: {} problem(s) in the data set", root.display(), offences.len());
    for offence in offences.iter().take(PRINTED_OFFENCES) {
        text.push_str("\n  ");
        text.push_str(&offence.to_string());
    }
    if let Some(more) = offences.len().checked_sub(PRINTED_OFFENCES).filter(|&more| more > 0) {
        text.push_str(&format!("\n  … and {more} more"));
    }
    text
}
