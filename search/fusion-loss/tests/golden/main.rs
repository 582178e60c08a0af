//! The golden sets `losses` and `saliency`, and the VGG-16 weights, of the shared data. `CAF_SHARED` names another folder of the
//! same layout; which cases there are is read from it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests stop at the line that fails"
)]

mod losses;
mod saliency;
mod support;
mod vgg_file;
