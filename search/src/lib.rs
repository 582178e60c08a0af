//! Loss search, training and evaluation on libtorch.
//!
//! ```text
//! pairs ──search::run──► beta.toml ──fusion::train──► fusion.safetensors ──fuse──► images ──task::train_task──► task.safetensors
//! ```

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod error;
pub mod evaluate;
pub mod file;
pub mod fusion;
pub mod fusion_net;
pub mod hypergradient;
pub mod pairs;
pub mod report;
pub mod search;
pub mod settings;
pub mod task;

pub use error::SearchError;
