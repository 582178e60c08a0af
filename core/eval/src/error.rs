use thiserror::Error;

/// Why a measurement was refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum EvalError {
    /// A pixel buffer whose length is not height times width, or an empty one.
    #[error("{what}: {height}x{width} pixels need {expected} bytes, found {found}", expected = height.saturating_mul(*width))]
    Plane {
        /// Which image.
        what: &'static str,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Bytes given.
        found: usize,
    },
    /// Images that should be of one size are not (height, width).
    #[error("infrared {}x{}, visible {}x{} and fused {}x{} differ in size", ir.0, ir.1, vi.0, vi.1, fused.0, fused.1)]
    Sizes {
        /// Infrared.
        ir: (usize, usize),
        /// Visible.
        vi: (usize, usize),
        /// Fused.
        fused: (usize, usize),
    },
    /// The image is too small for the metric to have a value.
    #[error("{metric} needs at least {min_side} pixels on each side, found {height}x{width}")]
    TooSmall {
        /// The metric.
        metric: &'static str,
        /// Least height and width.
        min_side: usize,
        /// Rows found.
        height: usize,
        /// Columns found.
        width: usize,
    },
    /// A name that is no metric.
    #[error("no metric is called {found:?}; known: {known}")]
    UnknownMetric {
        /// The name given.
        found: String,
        /// All names.
        known: String,
    },
    /// A class beyond the number of classes.
    #[error("image {image}, {what} {index}: class {class}, but there are {classes} classes")]
    Class {
        /// Index of the image.
        image: usize,
        /// Label or detection.
        what: &'static str,
        /// Its index.
        index: usize,
        /// The class found.
        class: u32,
        /// Number of classes.
        classes: usize,
    },
    /// A box or score with NaN or infinity.
    #[error("image {image}, {what} {index}: a coordinate or score is not finite")]
    NotFinite {
        /// Index of the image.
        image: usize,
        /// Label, detection or ignore region.
        what: &'static str,
        /// Its index.
        index: usize,
    },
    /// A labelled and a predicted class map of different sizes.
    #[error("the label has {label} pixels, the prediction {prediction}")]
    MapSizes {
        /// Pixels of the label.
        label: usize,
        /// Pixels of the prediction.
        prediction: usize,
    },
    /// A pixel of a class that does not exist.
    #[error("{what}, pixel {pixel}: class {class}, but there are {classes} classes{}", ignored.map_or_else(String::new, |i| format!(" and {i} for pixels to ignore")))]
    PixelClass {
        /// Label or prediction.
        what: &'static str,
        /// Index of the pixel, row by row.
        pixel: usize,
        /// The class found.
        class: u8,
        /// Number of classes.
        classes: usize,
        /// The label that is left out.
        ignored: Option<u8>,
    },
    /// Counts of different numbers of classes.
    #[error("counts of {one} and of {other} classes cannot be added")]
    MatrixSizes {
        /// Classes of the one.
        one: usize,
        /// Classes of the other.
        other: usize,
    },
    /// A name that is no convention of segmentation.
    #[error("no convention is called {found:?}; known: {known}")]
    UnknownConvention {
        /// The name given.
        found: String,
        /// All names.
        known: String,
    },
}

impl EvalError {
    /// Whether what was asked for does not exist, in contrast to data that cannot be measured.
    pub fn is_wrong_call(&self) -> bool {
        matches!(self, Self::UnknownMetric { .. } | Self::UnknownConvention { .. })
    }
}
