//! The training side of YOLOv5 against values of the original implementation.

mod assignment;
mod loss;
mod network;
mod support;
