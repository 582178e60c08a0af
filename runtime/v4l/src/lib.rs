//! Video4Linux cameras for the live runtime, without anything in between.
//!
//! ```text
//! sys ── the only unsafe: ioctl, mmap          abi ── structures and numbers of linux/videodev2.h
//!  └─ node ── answers the questions of `device::Device`, as a script does in tests
//!      └─ stream ── whose each buffer is, what each fault means
//!          └─ camera ── format, rate, controls; source ── frames, times, opening again
//! ```

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod abi;
pub mod camera;
mod carrier;
mod controls;
mod convert;
pub mod device;
pub mod error;
pub mod format;
mod jpeg;
pub mod node;
mod place;
#[cfg(test)]
mod scripted;
pub mod source;
pub mod stream;
pub mod sys;
pub mod text;
pub mod yuv;

use caf_runtime::source::kind::SourceKind;

/// The kinds of source that Video4Linux reads.
pub const SOURCES: &[SourceKind] = &[source::KIND];
