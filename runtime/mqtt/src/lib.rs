//! Results of a live run to an MQTT broker (version 3.1.1 of the protocol).
//!
//! Each result is a message of quality of service 0 on the topic that the user names: an old result is worse than none, so nothing
//! is kept for a broker that is not there. `TOPIC/state` holds `online` or `offline`, retained; the broker itself says `offline` when the
//! program dies or the connection breaks (the last will).
//!
//! A broker that is not there, at the start or later, is tried again until it is; meanwhile results are counted as
//! undelivered, and the run goes on.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod address;
#[cfg(test)]
mod broker_tests;
mod link;
mod sink;

pub use sink::KIND;

/// The kinds of sink that speak MQTT.
pub const SINKS: &[caf_runtime::sink::kind::SinkKind] = &[KIND];
