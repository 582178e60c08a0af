//! What an exported model promises to whoever runs it.
//!
//! `caf-export` writes a [`Contract`] as one JSON value under the metadata key [`METADATA_KEY`] of the ONNX file; whoever runs
//! the model reads it and refuses one whose promise it cannot keep, or that is not what it promises
//! ([`Contract::mismatches`]). A vehicle thus needs neither the networks nor the training code.
//!
//! ```json
//! {"version": 2, "precision": "fp32",
//!  "inputs": [{"name": "ir", "element": "u8", "shape": [1, "height", "width", 1], "colour": "gray"},
//!             {"name": "vi", "element": "u8", "shape": [1, "height", "width", 3], "colour": "rgb"}],
//!  "outputs": [{"name": "fused", "element": "u8", "shape": [1, "height", "width", 3], "colour": "rgb"},
//!              {"name": "predictions", "element": "f32", "shape": [1, "?", 7], "colour": "none"}],
//!  "infrared_range": {"window": {"min": 7000.0, "max": 9000.0}},
//!  "tasks": [{"task": "detection", "output": "predictions", "classes": ["person", "car"],
//!             "input": {"width": 640, "height": 640}}],
//!  "sources": [{"role": "fusion", "sha256": "…"}, {"role": "task", "sha256": "…"}]}
//! ```

mod check;
pub mod classes;
mod contract;
mod error;
mod extents;
mod ir_range;
mod json;
mod port;
#[cfg(test)]
mod samples;
mod task;

pub use check::GraphPort;
pub use contract::{Contract, INPUT_IMAGE, INPUT_IR, INPUT_VI, OUTPUT_FUSED, Precision, Source};
pub use error::{ContractError, METADATA_KEY, Mismatch, VERSION, list};
pub use extents::{Extents, check_elements};
pub use ir_range::{IrLimits, IrRange, IrSample, IrScratch, LEAST_USED_SHARE};
pub use port::{Array, Colour, Element, Extent, MOST_ELEMENTS, Port, Values, elements};
pub use task::{
    CELL_PX, COUNTING, CountingContract, DETECTION, DetectionContract, IGNORED_LABEL, MOST_MAP_CLASSES, Part, Quantity,
    SEGMENTATION, SegmentationContract, TASKS, Task, TaskContract, counts,
};
