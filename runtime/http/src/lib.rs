//! A live run over HTTP.
//!
//! | Path | What |
//! | --- | --- |
//! | `/` | a page for people: the fused picture with its boxes, both cameras, rates, ages, drops, state |
//! | `/startup`, `/live`, `/ready` | 200, or 503 with the reasons |
//! | `/metrics` | counters and histograms in Prometheus' text format |
//! | `/state.json` | how the run is |
//! | `/fused.jpg`, `/infrared.jpg`, `/visible.jpg` | the newest picture; with `?after=N` another one than number N, else 204 |
//!
//! It is a sink: it has the run's results, and a queue and a thread of its own. A picture is encoded when somebody asks for it, in
//! the thread that answers, and no more of them are sent than the [`picture`] module's rate allows.

mod answer;
mod connections;
mod error;
mod measures;
mod message;
mod metrics;
pub mod picture;
mod server;
mod sink;

pub use error::HttpError;

/// The kinds of sink in this crate.
pub const SINKS: &[caf_runtime::sink::kind::SinkKind] = &[sink::LOOPBACK, sink::ANYWHERE];
