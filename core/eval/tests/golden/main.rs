//! Comparison with data recorded from the published implementations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod coco;
mod fusion;
mod rounding;
mod segmentation;
mod vifb;
mod yolo;
