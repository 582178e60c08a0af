use thiserror::Error;

/// Why a geometric operation was refused. Nothing was written to the output in that case.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum DetectError {
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

/// Refuses a size without pixels or with more than can be counted.
pub(crate) fn check_size(what: &'static str, width: usize, height: usize) -> Result<(), DetectError> {
    match height.checked_mul(width) {
        Some(n) if n > 0 && n <= isize::MAX as usize => Ok(()),
        _ => Err(DetectError::Size { what, width, height }),
    }
}
