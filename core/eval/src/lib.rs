//! Fusion metrics and detection average precision on plain arrays.
//!
//! - [`fusion`]: no-reference metrics of one infrared, visible and fused image, by the definitions of the MATLAB set
//!   that most published tables use (profile `linfeng`).
//! - [`detection`]: average precision by the rules of YOLOv5 and of COCO, with ignore regions.
//!
//! The binary `caf-eval` applies both to folders.

pub mod detection;
mod error;
pub mod fusion;
pub mod statistics;

pub use error::EvalError;
