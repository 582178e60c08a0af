//! Models of less precision: what each node of a graph computes in, and how much is lost by it.
//!
//! A [`Plan`] says for every node whether it computes in single precision, in half precision or on 8-bit integers. It is carried out
//! by [`crate::onnx`] while the graph is written, so that every model, whatever its precision, comes from the graph and the weights.

mod half;
mod histogram;
mod int8;
mod plan;
mod range;
mod steps;

pub use half::{HalfPlan, layer_of};
pub use histogram::{BINS, Histogram};
pub use int8::{Int8Plan, Int8Settings, REDUCED, convolutions, values_to_calibrate};
pub(crate) use plan::Arithmetic;
pub use plan::Plan;
pub use range::{Method, PERCENTILE, QUANTIZED_BINS};
pub use steps::{Activations, Range};
pub(crate) use steps::{Kernel, Steps};
