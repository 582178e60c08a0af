//! What can go wrong with images, lists and label files.

use std::path::{Path, PathBuf};

use caf_contract::{ContractError, IrRange};
use caf_geometry::Size;

use crate::format;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file or folder that cannot be read.
    #[error("{}: cannot read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file that cannot be written; nothing was left in its place.
    #[error("{}: cannot write", path.display())]
    Write {
        /// The file that was to be made.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file that is no image of a kind that is read.
    #[error("{}: expected an image ({}), found {found}", path.display(), format::READ)]
    NotAnImage {
        /// The file.
        path: PathBuf,
        /// What its content is.
        found: String,
    },
    /// An image that cannot be decoded.
    #[error("{}: cannot decode the image", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: image::ImageError,
    },
    /// An image that ends too early, also where its decoder would fill the rest.
    #[error("{}: the image is cut off: the file ends before it does", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
    },
    /// Samples that the reader of this image has no use for.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Samples {
        /// The file.
        path: PathBuf,
        /// What is read here.
        expected: &'static str,
        /// What the file holds.
        found: String,
    },
    /// A float image where nobody said which values are 0 and 1.
    #[error(
        "{}: holds {found}, which have no full range: expected a range that says which values become 0 and 1 (MIN..MAX in the \
         file's unit, min_max, or percentiles such as 1,99), or an image of 8 or 16 bits ({})", path.display(), format::READ
    )]
    NoRange {
        /// The file.
        path: PathBuf,
        /// What the file holds.
        found: String,
    },
    /// A class mask whose pixels are no class ids.
    #[error("{}: expected a class mask, one id from 0 to 255 a pixel, found {found}", path.display())]
    Mask {
        /// The file.
        path: PathBuf,
        /// What a pixel holds.
        found: String,
    },
    /// An image that cannot be encoded.
    #[error("{}: cannot encode the image", path.display())]
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
    /// A range that says nothing.
    #[error("the infrared range")]
    Range(#[from] ContractError),
    /// Images that would be overwritten.
    #[error(
        "{}: there already, {there} of {of} images; give --resume to keep them, --overwrite to write them anew, or another \
         folder", first.display()
    )]
    Existing {
        /// The first of them.
        first: PathBuf,
        /// How many there are.
        there: usize,
        /// How many were to be written.
        of: usize,
    },
    /// A folder with images that were made by something else.
    #[error("{}: {what}; give another folder, or --overwrite without a list, so that all of its images are replaced", path.display())]
    OtherOrigin {
        /// The folder.
        path: PathBuf,
        /// What made them, and what is different now.
        what: String,
    },
    /// A folder with something in it that is no frame.
    #[error("{}: {problem}", folder.display())]
    Unfit {
        /// The folder.
        folder: PathBuf,
        /// What.
        problem: Box<ImageProblem>,
    },
    /// A folder without images.
    #[error("{}: holds no images", path.display())]
    NoImages {
        /// The folder.
        path: PathBuf,
    },
    /// A frame whose time is not told.
    #[error("{}: has no line in {times}", path.display())]
    NoTime {
        /// The frame.
        path: PathBuf,
        /// The file of times.
        times: &'static str,
    },
    /// A line of a file of times is wrong.
    #[error("{}:{line}: expected {expected}, found `{found}`", path.display())]
    Times {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A list without names.
    #[error("{}: expected at least one name in the list, found none", path.display())]
    EmptyList {
        /// The list.
        path: PathBuf,
    },
    /// A name that no line of a list can hold.
    #[error("{}: the name {name:?} has a line break, which no list can hold", path.display())]
    Unlistable {
        /// The list that was to be written.
        path: PathBuf,
        /// The name.
        name: String,
    },
}

impl ImageError {
    /// Whether what was asked for is wrong in itself, and not a file's content or the disk.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Range(error) => error.is_wrong_call(),
            Self::Existing { .. } | Self::OtherOrigin { .. } | Self::Times { .. } => true,
            Self::Read { .. }
            | Self::Write { .. }
            | Self::NotAnImage { .. }
            | Self::Decode { .. }
            | Self::CutOff { .. }
            | Self::Samples { .. }
            | Self::NoRange { .. }
            | Self::Mask { .. }
            | Self::Encode { .. }
            | Self::Shape { .. }
            | Self::Unfit { .. }
            | Self::NoImages { .. }
            | Self::NoTime { .. }
            | Self::EmptyList { .. }
            | Self::Unlistable { .. } => false,
        }
    }
}

impl ImageError {
    /// An error of a decoder; one that met the end of the file is [`ImageError::CutOff`], as where the end is looked for first.
    pub(crate) fn undecoded(path: &Path) -> impl Fn(image::ImageError) -> ImageError + Copy + use<'_> {
        move |source| match &source {
            image::ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                ImageError::CutOff { path: path.to_owned() }
            }
            _ => ImageError::Decode { path: path.to_owned(), source },
        }
    }

    /// What is wrong, with the cause, without the path: for lists of files.
    #[must_use]
    pub fn reason(&self) -> String {
        let mut text = self.to_string();
        if let Some(cause) = std::error::Error::source(self) {
            text = format!("{text}: {cause}");
        }
        match self.path().and_then(|path| text.strip_prefix(&format!("{}: ", path.display()))) {
            Some(reason) => reason.to_owned(),
            None => text,
        }
    }

    /// The file that it is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Read { path, .. }
            | Self::Write { path, .. }
            | Self::NotAnImage { path, .. }
            | Self::Decode { path, .. }
            | Self::CutOff { path }
            | Self::Samples { path, .. }
            | Self::NoRange { path, .. }
            | Self::Mask { path, .. }
            | Self::Encode { path, .. }
            | Self::EmptyList { path }
            | Self::Unfit { folder: path, .. }
            | Self::NoImages { path }
            | Self::NoTime { path, .. }
            | Self::Times { path, .. }
            | Self::Existing { first: path, .. }
            | Self::OtherOrigin { path, .. }
            | Self::Unlistable { path, .. } => Some(path),
            Self::Shape { .. } | Self::Range(_) => None,
        }
    }
}

/// One thing in a folder of images that does not fit. A folder's problems are collected and told together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ImageProblem {
    /// A file that is no image that is read; it may be half of a pair.
    #[error("{}: expected an image ({}), found {found}", path.display(), format::READ)]
    NotAnImage {
        /// The file.
        path: PathBuf,
        /// What its content is.
        found: String,
    },
    /// A name that is not valid UTF-8.
    #[error("{}: the file name is not valid UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
    },
    /// A link to nothing.
    #[error("{}: a link that leads nowhere, to {}", path.display(), target.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
        /// What it names.
        target: PathBuf,
    },
    /// Two files of one folder have the same name apart from the extension.
    #[error("{name}: two files of this name, {} and {}", first.display(), second.display())]
    SameName {
        /// The shared name.
        name: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// One half of a pair is missing.
    #[error("{name}: found {}, expected the other image of the pair in {}", found.display(), folder.display())]
    MissingHalf {
        /// The pair.
        name: String,
        /// The half that is there.
        found: PathBuf,
        /// Where the other one should be.
        folder: PathBuf,
    },
    /// Two files of a pair (or a pair and its mask) have different sizes.
    #[error("{name}: {} is {first_size}, {} is {second_size}{}", first.display(), second.display(), turned_note(*turned))]
    SizeMismatch {
        /// The pair.
        name: String,
        /// One file.
        first: PathBuf,
        /// Its size, upright.
        first_size: Size,
        /// The other file.
        second: PathBuf,
        /// Its size, upright.
        second_size: Size,
        /// Whether one of them was turned.
        turned: bool,
    },
    /// An image whose header cannot be read.
    #[error("{}: {cause}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
}

fn turned_note(turned: bool) -> &'static str {
    if turned { " (upright, as the orientation written by the camera says)" } else { "" }
}

impl ImageProblem {
    /// The problem of a header that cannot be read.
    #[must_use]
    pub fn of_header(path: &std::path::Path, error: &ImageError) -> Self {
        if let ImageError::NotAnImage { found, .. } = error {
            return Self::NotAnImage { path: path.to_owned(), found: found.clone() };
        }
        Self::Header { path: path.to_owned(), cause: error.reason() }
    }
}

/// What a range that leaves most of itself unused is called in a warning.
pub(crate) fn extent_of(range: IrRange) -> String {
    match range {
        IrRange::Full => "full (0 to 65535)".to_owned(),
        other => other.to_string(),
    }
}
