//! Tasks: what a search is driven by, and what is trained and measured on images.
//!
//! A task is one file (or folder) here and one line in [`TASKS`]: its network, its settings, its loss, its optimiser, its metric,
//! its columns in the logs, its weight file. Search, trainings, evaluation and command line know no task by name; they work on
//! [`TaskKind`], [`Task`] and [`Trained`].

mod detection;
mod registry;
mod segmentation;
mod settings;
mod start;
mod task;

pub use detection::DetectionSettings;

pub use registry::{TASKS, open_task};
pub use segmentation::{Mean, SegmentationSettings};
pub use settings::TaskSettings;
pub(crate) use task::require_classes;
pub use task::{Purpose, Setup, Task, TaskKind, TaskReport, Trained};
