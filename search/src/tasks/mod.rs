//! Tasks: what a search is driven by, and what is trained and measured on images.
//!
//! A task is one file (or folder) here and one line in [`TASKS`], a [`TaskKind`]: its network, its settings, its loss, its optimiser, its metric,
//! its columns in the logs, its weight file. Search, trainings, evaluation and command line know no task by name; they work on
//! [`TaskKind`], [`Task`] and [`Trained`].

mod adamw;
mod counting;
mod detection;
mod network;
mod own_size;
mod segmentation;
mod settings;
mod setup;
mod task;
mod trained;

pub use counting::CountingSettings;
pub use detection::DetectionSettings;
pub use network::{Init, Network};
pub use segmentation::{DeepLabSettings, Mean, SegmentationSettings, SegmentationVariant};
pub use settings::{TASKS, TaskSettings};
pub use setup::{Purpose, Setup};
pub(crate) use task::require_classes;
pub use task::{Measured, Task, TaskKind, TaskReport};
pub use trained::{Trained, open_task};
