//! A study: methods of fusing compared with each other over seeds, by what a task network makes of their images.
//!
//! ```text
//! study.toml ── jobs (seed × protocol × method) ──► rows.csv ──► table, tests, plot
//! ```
//!
//! A job is one row: a fusion network is trained with the loss of a method (or an image source, or a weight file, is taken as it is),
//! pairs that no training saw are fused, and a task network is measured on them. Two protocols say which one: [`Protocol::P1`] a
//! frozen one, the same for all; [`Protocol::P2`] one that was trained anew on what the method makes of the training pairs.
//!
//! All work is that of the single commands: [`crate::search::run`], [`crate::fusion::train`], [`crate::fusion::fuse_folder`],
//! [`crate::task_training::train`], [`crate::tasks::Trained::evaluate`]. A job that is interrupted goes on from their checkpoints.

mod contender;
mod detector;
mod folder;
mod identity;
mod job;
mod method;
mod networks;
mod original;
mod parts;
mod report;
mod rows;
mod run;
mod stage;
mod study;
mod table;
mod telling;
mod work;

pub use contender::{Contender, Source, contenders};
pub(crate) use contender::{PLAIN, is_plain};
pub use folder::files;
pub(crate) use folder::render_scenes;
pub use job::{Job, Key, jobs};
pub use method::{Method, MethodKind, SearchMethod};
pub use networks::{Networks, of_kinds};
pub use parts::{FrozenSettings, FusionPart, Machine, SceneSettings, TaskPart};
pub use report::{Drawn, draw};
pub use rows::{Row, Rows};
pub use run::{Finished, open, run};
pub(crate) use stage::fuse;
pub use study::{Protocol, Study};
pub use table::{Line, Noise, Part, Table, Test};
