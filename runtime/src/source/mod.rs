//! Where frames come from.
//!
//! A kind of source is one file and one line in a list: [`SOURCES`] here, `caf_gst::SOURCES` for what needs GStreamer. A
//! source tells through its [`port::Port`] how it is:
//!
//! ```text
//!              first frame             silence, unplugged
//!   starting ─────────────► up ─────────────────────────► lost
//!                            ▲                              │
//!                            └──────── a frame again ───────┘       any ──► ended
//! ```

pub mod arrivals;
pub mod clock;
pub mod error;
pub mod folder;
pub mod keeper;
pub mod kind;
pub mod port;
pub mod report;
pub mod settling;
mod standing;
pub mod timeline;

/// The kinds of source that need nothing beyond this crate.
pub const SOURCES: &[kind::SourceKind] = &[folder::KIND];
