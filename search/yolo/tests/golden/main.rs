//! The training side of YOLOv5 against values of the original implementation.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets something unexpected has failed")]

mod assignment;
mod loss;
mod network;
mod support;
