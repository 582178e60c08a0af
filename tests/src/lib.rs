//! What crosses crates: engine parity, golden data on every engine, the whole chain.
//!
//! The library is what the test programs share. A [`Runner`](engine::Runner) runs a graph on one engine; [`caf`], [`yolov5`],
//! [`segformer`] and [`deeplab`] compare a runner with the golden data, whichever engine it is; [`golden`] reads checkpoints and the pairs of any other
//! fusion network's folder; [`fixture`] makes seeded networks and images for machines
//! without golden data; [`published`] makes the published images of raw outputs; [`programs`] calls the programs; [`scenes`] renders a small data set and has settings that search and train on it in seconds. Everything
//! here stops a test by panicking.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "the crate is tests throughout")]

pub mod arrays;
pub mod caf;
pub mod deeplab;
pub mod engine;
pub mod fixture;
pub mod golden;
pub mod parity;
pub mod programs;
pub mod published;
pub mod scenes;
pub mod segformer;
pub mod yolov5;
