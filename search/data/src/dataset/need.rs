//! What is read of a data set.

use std::path::PathBuf;

use caf_image::IrRange;

/// Whether label files, or masks, must, may or shall not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Need {
    /// Every pair needs one (an empty label file says that nothing is there), and their classes must have names.
    Required,
    /// They are read where they exist.
    #[default]
    Optional,
    /// They are not looked at.
    Ignore,
}

/// How to open a data set.
#[derive(Debug, Clone)]
pub struct DatasetOptions {
    /// Only these pairs, in this order: a file of names, one a line, whose path begins at the data set's root, or the name of one of
    /// the layout's splits. Without it all pairs belong to the data set, in the order of their names.
    pub list: Option<PathBuf>,
    /// What to do about label and ignore files.
    pub labels: Need,
    /// What to do about class masks. Whatever it is, a mask that exists must have the size of its pair.
    pub masks: Need,
    /// How 16-bit and float infrared values are mapped to \[0,1\].
    pub ir_range: IrRange,
    /// Name of the layout on disk, see [`crate::layout::ALL`]; recognised where it is `None`.
    pub layout: Option<String>,
}

impl Default for DatasetOptions {
    /// All pairs, with labels where they exist, without masks, infrared over its full range, the layout recognised.
    fn default() -> Self {
        Self { list: None, labels: Need::Optional, masks: Need::Ignore, ir_range: IrRange::Full, layout: None }
    }
}
