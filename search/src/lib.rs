//! Loss search, training and evaluation on libtorch.
//!
//! ```text
//! pairs ──search::run──► beta.toml ──fusion::train──► fusion.safetensors ──fuse──► images ──task::train_task──► task.safetensors
//! ```

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod device;
pub mod error;
pub mod evaluate;
pub mod file;
pub mod fusion;
pub mod fusion_net;
pub mod hypergradient;
pub mod learning;
pub mod named_images;
pub mod pairs;
pub mod record;
pub mod report;
pub mod search;
pub mod settings;
pub mod state;
pub mod task;
pub mod weight_file;

pub use error::SearchError;
