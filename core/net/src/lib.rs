//! Networks as data.
//!
//! A [`Graph`] is a list of [`Node`]s in execution order. Each node applies one [`Op`] to earlier [`Value`]s and makes one
//! new value. Every attribute is spelled out (padding, epsilon, momentum): two engines agree only where nothing is left to a
//! default. Parameter names equal those of the original `state_dict`, so that original checkpoints load without a table.
//!
//! Two interpreters match [`Op`] without a wildcard: `caf-torch` runs a graph on libtorch, `caf-export` writes it as ONNX. A
//! new op compiles in neither until both know it.
//!
//! Ops are primitives. What is made of several is composed once, in [`compose`] and the [`zoo`], for both engines.
//!
//! The [`zoo`] holds the networks: each is a function that adds nodes to a [`Builder`], so that networks compose (a fusion
//! network, a letterbox and a detector in one graph are three calls).

mod builder;
pub mod compose;
mod error;
mod graph;
mod infer;
mod op;
mod param;
mod tensor;
pub mod zoo;

pub use builder::Builder;
pub use error::GraphError;
pub use graph::{Graph, Input, Node, Output};
pub use op::{Activation, Conv, DropUnit, Extent, LayerNorm, Linear, MeanWindows, Norm, Op};
pub use param::{ParamId, ParamRole, ParamSpec};
pub use tensor::{Dim, Element, TensorType, Value};
