//! Comparison with data recorded from the published implementations.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests stop at the line that fails"
)]

mod coco;
mod fusion;
mod rounding;
mod segmentation;
mod vifb;
mod yolo;
