//! Loss search, training and evaluation on libtorch.
//!
//! ```text
//! pairs ──search::run──► beta.toml ──fusion::train──► fusion.safetensors ──fuse──► images ──task_training::train──► best.safetensors
//! ```
//!
//! What a search is driven by, and what is trained and measured on images, is a task: see [`tasks`].

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod ablate;
mod apart;
pub mod chain;
pub mod compare;
mod descent;
pub mod error;
pub mod evaluate;
pub mod file;
#[cfg(test)]
pub(crate) mod fixture;
pub mod fusion;
pub mod fusion_net;
pub mod hypergradient;
pub mod ir_range;
pub mod layout;
pub mod loader;
mod lock;
pub mod named_images;
pub mod record;
mod run_loop;
pub mod run_settings;
pub mod search;
pub mod settings;
pub mod state;
pub mod task_training;
pub mod tasks;
mod toml_words;
pub mod weight_file;

pub use error::SearchError;
pub use lock::LOCK;
pub use run_loop::{CONFIG, LOG};
