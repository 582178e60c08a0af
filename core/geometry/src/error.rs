use thiserror::Error;

/// Why a geometric operation was refused. Nothing was written to the output in that case.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum DetectError {
    /// A size with a zero side, or one whose byte count does not fit the address space.
    #[error("{what}: a size of {width}x{height} with {channels} channels cannot be an image")]
    Size {
        /// Which image.
        what: &'static str,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Interleaved channels.
        channels: usize,
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
    /// A distance between rows smaller than one row.
    #[error("{what}: rows of {row} bytes cannot lie {stride} bytes apart")]
    RowStride {
        /// Which buffer.
        what: &'static str,
        /// Bytes of one row.
        row: usize,
        /// Bytes from one row to the next.
        stride: usize,
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

/// Bytes of a packed image, or the error that names it.
pub(crate) fn packed_len(
    what: &'static str,
    height: usize,
    width: usize,
    channels: usize,
) -> Result<usize, DetectError> {
    let bytes = height.checked_mul(width).and_then(|n| n.checked_mul(channels));
    match bytes {
        Some(n) if n > 0 && n <= isize::MAX as usize => Ok(n),
        _ => Err(DetectError::Size { what, height, width, channels }),
    }
}

/// Checks that `len` bytes hold `height` rows of `row` bytes that lie `stride` bytes apart.
pub(crate) fn check_rows(
    what: &'static str,
    height: usize,
    row: usize,
    stride: usize,
    len: usize,
) -> Result<(), DetectError> {
    if stride < row {
        return Err(DetectError::RowStride { what, row, stride });
    }
    let expected = height.saturating_sub(1).saturating_mul(stride).saturating_add(row);
    if len < expected {
        return Err(DetectError::Length { what, expected, found: len });
    }
    Ok(())
}
