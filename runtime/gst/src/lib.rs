//! GStreamer for the live runtime: cameras and video files as sources, the video as a sink.
//!
//! Both are kinds in the lists of `caf-runtime`; nothing outside this crate names a GStreamer type.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod encoder;
pub mod error;
mod file;
pub mod frame;
pub mod launch;
mod packages;
mod rtsp;
mod stamp;
mod text;
pub mod video;

use caf_runtime::sink::kind::SinkKind;
use caf_runtime::source::kind::SourceKind;

/// The kinds of source that GStreamer reads. The last one takes any text.
pub const SOURCES: &[SourceKind] = &[file::KIND, rtsp::KIND, launch::KIND];

/// The kinds of sink that GStreamer writes.
pub const SINKS: &[SinkKind] = &[video::KIND];
