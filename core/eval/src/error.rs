use caf_geometry::Size;
use thiserror::Error;

/// Why a measurement was refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum EvalError {
    /// A pixel buffer whose length is not that of its size, or an empty one.
    #[error("an image of {size} pixels needs {channels} byte(s) a pixel, found {found} bytes")]
    Plane {
        /// The size given.
        size: Size,
        /// Bytes a pixel.
        channels: usize,
        /// Bytes given.
        found: usize,
    },
    /// Images that should be of one size are not.
    #[error("infrared {ir}, visible {vi} and fused {fused} differ in size")]
    Sizes {
        /// Infrared.
        ir: Size,
        /// Visible.
        vi: Size,
        /// Fused.
        fused: Size,
    },
    /// The image is too small for the metric to have a value.
    #[error("{metric} needs at least {min_side_px} pixels on each side, found {found}")]
    TooSmall {
        /// The metric.
        metric: &'static str,
        /// Least width and height.
        min_side_px: usize,
        /// The size found.
        found: Size,
    },
    /// Not a single plane to measure.
    #[error("nothing to measure: no plane of the images was given")]
    NoPlanes,
    /// A name that is no metric of the profile.
    #[error("no metric of profile {profile} is called {found:?}; known: {known}")]
    UnknownMetric {
        /// The name given.
        found: String,
        /// The profile.
        profile: &'static str,
        /// All names.
        known: String,
    },
    /// A name that is no profile of fusion metrics.
    #[error("no profile is called {found:?}; known: {known}")]
    UnknownProfile {
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
    /// Counts that are not one finite number for each class.
    #[error("image {image}, {what} objects: expected {classes} finite number(s), one for each class, found {found:?}")]
    Counts {
        /// Index of the image.
        image: usize,
        /// Labelled or counted.
        what: &'static str,
        /// Number of classes.
        classes: usize,
        /// What was given.
        found: Vec<f64>,
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
        matches!(self, Self::UnknownMetric { .. } | Self::UnknownProfile { .. } | Self::UnknownConvention { .. })
    }
}
