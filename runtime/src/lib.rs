//! Fuses two live cameras and detects what they see.
//!
//! ```text
//! infrared ─► queue ┐
//!                   ├─► pair by time ─► queue ─► fuse, detect, draw ─┬─► queue ─► video
//! visible ──► queue ┘                                                └─► queue ─► JSON lines, …
//! ```
//!
//! Every queue is bounded and gives up its oldest item when the next stage is too slow (and counts it); with
//! files, where every frame matters, it makes the producer wait instead. Frames are paired by capture time, never by
//! arrival. The model runs in ONNX Runtime; see [`session`].
//!
//! Sources and sinks are lists of kinds ([`source`], [`sink`]); GStreamer's are in `caf-gst`, the command line in `caf-run`.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod align;
pub mod board;
pub mod check;
pub mod draw;
pub mod error;
pub mod font;
pub mod frame;
pub mod fuse;
pub mod fusion;
pub mod health;
pub mod image_file;
pub mod infrared;
mod json;
pub mod line;
pub mod live;
pub mod pair;
pub mod pixels;
pub mod preview;
pub mod probe;
pub mod pulse;
pub mod queue;
pub mod result;
pub mod session;
pub mod sink;
pub mod source;
pub mod stats;
pub mod task;
