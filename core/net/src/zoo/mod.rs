//! The networks this project knows.

pub mod caf;
pub mod pipeline;
pub mod yolov5;
