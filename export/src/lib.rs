//! Graph and weights to ONNX: folding, pre- and post-processing inside the graph, verification.
//!
//! [`onnx`] writes any `caf-net` graph. [`model`] puts the graph of a vehicle together from weight files (bytes or floats in,
//! colour, letterbox, decoding) with the [`caf_contract::Contract`] that the runtime relies on. [`precision`] says what nodes compute in,
//! [`reduce`] finds it by measurement and measures the loss. [`verify`] runs the result on ONNX Runtime ([`caf_engine`]), [`distance`] says
//! how far outputs are from what they should be. [`bundle`] puts it with all that belongs to it into the one folder that a vehicle gets,
//! [`probes`] holds it to what its network should make of a few images.

pub mod bundle;
pub mod distance;
mod error;
pub mod external;
mod fold;
mod forms;
pub mod model;
mod onnx;
mod ops;
mod params;
pub mod precision;
pub mod probes;
mod proto;
pub mod reduce;
pub mod verify;
mod writer;

pub use error::ExportError;
pub use onnx::{ExportOptions, onnx};
