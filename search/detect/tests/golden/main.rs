//! Comparison with data recorded from the original implementation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod letterbox;
mod shared;
mod suppression;
