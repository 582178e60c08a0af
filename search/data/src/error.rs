//! What can go wrong with a data set, each with the place and what was expected and found.

use std::fmt;
use std::path::PathBuf;

use crate::leakage::LeakageReport;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The folder holds things that do not fit together; all of them are listed.
    #[error("{}", list_offences(.root, .offences))]
    Offences {
        /// The data set's root folder.
        root: PathBuf,
        /// Everything found, in the order of the names.
        offences: Vec<Offence>,
    },
    /// A folder that must exist does not.
    #[error("{path}: expected a folder with {expected}", path = .path.display())]
    NoFolder {
        /// The folder looked for.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// Nothing to work on.
    #[error("{path}: expected at least one {expected}, found none", path = .path.display())]
    Empty {
        /// The folder or list.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
    },
    /// A file or folder could not be read.
    #[error("{path}: cannot read", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be written; nothing was left in its place.
    #[error("{path}: cannot write", path = .path.display())]
    Write {
        /// The file that was to be made.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// An image file that cannot be decoded.
    #[error("{path}: cannot decode the image", path = .path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: image::ImageError,
    },
    /// An image file that ends too early, although its decoder would fill the rest.
    #[error("{path}: the JPEG stream is truncated: expected its end-of-image marker, found the end of the file", path = .path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// A class mask whose pixels are no class ids.
    #[error("{path}: expected a class mask, one id from 0 to 255 a pixel, found {found}", path = .path.display())]
    Mask {
        /// The file.
        path: PathBuf,
        /// What a pixel holds.
        found: String,
    },
    /// An image that could not be encoded.
    #[error("{path}: cannot encode the image", path = .path.display())]
    Encode {
        /// The file that was to be made.
        path: PathBuf,
        /// The cause.
        #[source]
        source: image::ImageError,
    },
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
    #[error("{path}: expected {expected:?} (width, height) as when the data set was opened, found {found:?}", path = .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Width and height at opening.
        expected: (usize, usize),
        /// Width and height now.
        found: (usize, usize),
    },
    /// An index past the end of the data set.
    #[error("pair {index} of a data set of {len}")]
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
    /// Training and validation share pairs.
    #[error("training and validation overlap\n{0}")]
    Overlap(Box<LeakageReport>),
    /// A scenes file with a bad line.
    #[error("{path}:{line}: expected {expected}, found {found}", path = .path.display())]
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

impl From<caf_contract::IrRangeError> for DataError {
    fn from(error: caf_contract::IrRangeError) -> Self {
        Self::Setting { name: "ir_range", expected: error.expected.to_owned(), found: error.found }
    }
}

/// One thing in a data set's folder that does not fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Offence {
    /// One half of a pair is missing.
    #[error("{name}: found {found}, expected its other half in {folder}", found = .found.display(), folder = .folder.display())]
    MissingHalf {
        /// The pair.
        name: String,
        /// The half that is there.
        found: PathBuf,
        /// Where the other one should be.
        folder: PathBuf,
    },
    /// Two files of one folder have the same name apart from the extension.
    #[error("{name}: two files with this name, {first} and {second}", first = .first.display(), second = .second.display())]
    DuplicateName {
        /// The shared name.
        name: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Two files of a pair (or a pair and its mask) have different sizes.
    #[error("{name}: {first} is {}x{}, {second} is {}x{}", .first_size.0, .first_size.1, .second_size.0, .second_size.1,
        first = .first.display(), second = .second.display())]
    SizeMismatch {
        /// The pair.
        name: String,
        /// One file.
        first: PathBuf,
        /// Its width and height.
        first_size: (usize, usize),
        /// The other file.
        second: PathBuf,
        /// Its width and height.
        second_size: (usize, usize),
    },
    /// An image whose header cannot be read.
    #[error("{path}: cannot read the image header: {cause}", path = .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The decoder's words.
        cause: String,
    },
    /// A file in an image folder that is no image this crate reads.
    #[error("{path}: not an image file of a known kind ({known})", path = .path.display(), known = crate::image_file::EXTENSIONS.join(", "))]
    NotAnImage {
        /// The file.
        path: PathBuf,
    },
    /// A name that is not valid UTF-8.
    #[error("{path}: the file name is not valid UTF-8", path = .path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
    },
    /// A pair without a label file where labels are required.
    #[error("{name}: expected the label file {path}", path = .path.display())]
    MissingLabels {
        /// The pair.
        name: String,
        /// The file looked for.
        path: PathBuf,
    },
    /// A pair without a class mask where masks are required.
    #[error("{name}: expected the class mask {path}", path = .path.display())]
    MissingMask {
        /// The pair.
        name: String,
        /// The file looked for.
        path: PathBuf,
    },
    /// A label, ignore or mask file that belongs to no pair.
    #[error("{path}: no pair of this name", path = .path.display())]
    Orphan {
        /// The file.
        path: PathBuf,
    },
    /// A label file that cannot be read as text.
    #[error("{path}: cannot read: {cause}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: String,
    },
    /// A bad line of a label file.
    #[error("{path}:{line}: expected {expected}, found {found}", path = .path.display())]
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
    /// `classes.txt` is missing where labels are required.
    #[error("{path}: expected the class names, one a line", path = .path.display())]
    MissingClasses {
        /// The file looked for.
        path: PathBuf,
    },
    /// A bad line of `classes.txt`.
    #[error("{path}:{line}: expected a class name of its own, found {found:?}", path = .path.display())]
    ClassLine {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What it holds.
        found: String,
    },
    /// A listed name of which there is no pair.
    #[error("{list}:{line}: {name}: no file of this name in ir or vi", list = .list.display())]
    ListedMissing {
        /// The list.
        list: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The name as listed.
        name: String,
    },
    /// A name that is listed twice.
    #[error("{list}:{line}: {name} is listed a second time, first on line {first_line}", list = .list.display())]
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

/// How many offences an error message spells out; the rest is counted.
pub const PRINTED_OFFENCES: usize = 50;

fn list_offences(root: &std::path::Path, offences: &[Offence]) -> impl fmt::Display {
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
