//! Finds where two cameras look and how late each is, from their recordings and without a target.
//!
//! [`find()`] takes pairs of one rig ([`Shot`]) and finds the homography from infrared to visible pixels that all of them share: what the two
//! cameras have in common is the direction of edges (`field`), a first guess comes from trying scales, rotations and shifts on small
//! images (`coarse`), and damped Newton steps on the summed correlation of all pairs refine it on larger and larger ones (`solve`,
//! `surface`). A map is returned when the maps of two halves of the pairs agree and each holds on the other half; nothing else is.
//!
//! [`drift()`] takes newer pairs in the order of their times and says whether a rig still holds on them.
//!
//! [`latency()`] takes what moves in two clips ([`Motion`]) and finds how much later the one camera's timestamps are.
//!
//! Pixels as in [`caf_rig`]: pixel i covers [i, i + 1). Distances are in infrared pixels.

mod coarse;
mod date;
mod drift;
mod error;
mod field;
mod find;
mod halvings;
mod latency;
mod map;
mod motion;
mod output;
mod overlay;
mod plane;
mod recording;
mod solve;
mod surface;
mod trial;

pub use date::today;
pub use drift::{Beginning, Drift, DriftSettings, Look, NamedPair, Offset, StretchOffset, Watch, drift};
pub use error::CalibError;
pub use find::{Finding, SIMILARITY_NAME, Settings, find};
pub use latency::{MeasuredLatency, latency};
pub use motion::{Glance, Motion, View, views};
pub use output::write;
pub use overlay::overlay;
pub use recording::{LEAST_SIDE_PX, Shot, list, read, spread};
pub use trial::{Summary, Trial, TrialSettings, remaining, summary, trial};
