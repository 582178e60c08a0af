//! What tests with reference data share: where the data lies, how cases are found in it, and what was compared.
//!
//! The data is a folder `shared` beside the checkout, or whatever `CAF_SHARED` names, so that other inputs of the same layout can
//! be put in its place. Without it a test prints a line that begins with `SKIP` and names what is missing; with
//! `CAF_GOLDEN=required`, which CI sets where the folder is there, it fails. A folder that is there
//! and holds no case fails the test, and so does a test that compared nothing. Each test ends with one line that says how many
//! cases and values it compared, and the largest error.
//!
//! [`fails_on_full_disk`] is for the tests of the programs, [`StopAfter`] for those of runs that are interrupted, [`Bench`] for
//! `cargo bench`.
//!
//! Everything here stops a test by panicking.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the crate is tests throughout")]

mod bench;
mod disk;
mod folder;
mod stop;
mod tally;

pub use bench::Bench;
pub use disk::fails_on_full_disk;
pub use folder::{count, files, find, folders, items, json, number, numbers, stem};
pub use stop::StopAfter;
pub use tally::{Tally, say};
