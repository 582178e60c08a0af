//! Where results go.
//!
//! A kind of sink is one file and one line in a list: [`SINKS`] here, `caf_gst::SINKS` for what needs GStreamer. Each sink
//! of a run has a thread and a queue of its own ([`lane::SinkLane`]), so that a slow one stalls nothing for the others.

pub mod error;
pub mod jsonl;
pub mod kind;
pub mod lane;
pub mod udp;

/// The kinds of sink that need nothing beyond this crate.
pub const SINKS: &[kind::SinkKind] = &[jsonl::KIND, udp::KIND];
