//! Metrics of fusion, detection, segmentation and counting on plain arrays.
//!
//! - [`fusion`]: no-reference metrics of one infrared, visible and fused image, by the definitions of the MATLAB set
//!   that most published tables use (profile `linfeng`).
//! - [`detection`]: average precision by the rules of YOLOv5 and of COCO, with ignore regions.
//! - [`segmentation`]: confusion matrix, IoU and accuracy by the conventions of mmseg and of the MFNet tables.
//! - [`counting`]: errors of counts, and counts of density maps.
//! - [`significance`]: whether two methods differ by more than noise.
//!
//! The binary `caf-eval` applies both to folders.

pub mod counting;
pub mod detection;
mod error;
pub mod fusion;
pub mod segmentation;
pub mod significance;
pub mod statistics;

pub use error::EvalError;
