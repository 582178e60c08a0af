//! The whole method as one run in one folder: a search, a fusion network trained with the loss that it found, a task network trained on
//! the fused images, and what it is worth.
//!
//! ```text
//! search/beta.toml ──► fusion/fusion.safetensors ──► fused/NAME.png ──► task/last.safetensors ──► evaluation/evaluation.json
//! ```
//!
//! All work is that of the single commands, each in its own folder, so that whatever interrupts a step, it goes on from its own
//! checkpoint. A step that is finished is written down with the hash of its result ([`files::STEPS`]) and not run again.

mod folder;
mod page;
mod run;
mod settings;

pub use folder::files;
pub use page::draw;
pub use run::{Finished, StepReport, run};
pub use settings::{ChainConfig, EvaluationSettings, Judged, Steps};
