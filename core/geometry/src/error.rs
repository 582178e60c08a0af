use thiserror::Error;

/// Largest side in pixels: what the file formats in use can hold.
pub(crate) const MAX_SIDE_PX: usize = 65_535;

/// Why a geometric operation was refused. Nothing was written to the output in that case.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum GeometryError {
    /// A size with a zero side, or one whose byte count does not fit the address space.
    #[error("{what}: a size of {width}x{height} cannot be an image")]
    Size {
        /// Which image.
        what: &'static str,
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A text that is no size.
    #[error("expected WIDTHxHEIGHT in pixels such as 640x480, each from 1 to {MAX_SIDE_PX}, found `{found}`")]
    SizeText {
        /// The text.
        found: String,
    },
    /// A buffer that is not as long as its sizes say.
    #[error("{what}: expected at least {expected} elements, found {found}")]
    Length {
        /// Which buffer.
        what: &'static str,
        /// Elements needed.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// Predictions that are not a whole number of rows.
    #[error("predictions: {found} values are not rows of {row} (4 box, 1 objectness, {classes} classes)")]
    Rows {
        /// Values in one row.
        row: usize,
        /// Classes asked for.
        classes: usize,
        /// Values given.
        found: usize,
    },
    /// A setting outside its range.
    #[error("{name}: expected {expected}, found {found}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What is allowed.
        expected: &'static str,
        /// What was given.
        found: f64,
    },
}

impl GeometryError {
    /// Whether what was asked for is wrong, rather than the data: a setting out of its range, a text that is no size.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        matches!(self, Self::Setting { .. } | Self::SizeText { .. })
    }
}
