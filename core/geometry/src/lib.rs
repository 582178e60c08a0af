//! Detection geometry on plain arrays: boxes, IoU, letterbox, non-maximum suppression.
//!
//! Everything here is arithmetic on slices, without a tensor library, so that the training side, the evaluation and the
//! vehicle share one definition. The rules are those of YOLOv5 (release 7.0 and later): a detector trained with them is
//! only measured and run correctly with the same rounding, thresholds and tie rules.
//!
//! # Coordinates
//!
//! Pixels; x to the right, y downwards; the origin is the outer corner of the top-left pixel, so that an image of width
//! `w` spans `0.0..=w` and its first pixel centre lies at 0.5. A size is a [`Size`]: width and height.

pub mod boxes;
mod error;
pub mod letterbox;
pub mod nms;
pub mod size;

pub use boxes::{Cxcywh, Xyxy};
pub use error::GeometryError;
pub use letterbox::Letterbox;
pub use nms::{Detection, NmsCounts, NmsScratch, NmsSettings, nms, nms_into};
pub use size::Size;
