//! Loss search, training and evaluation on libtorch.
//!
//! ```text
//! pairs ──search::run──► beta.toml ──fusion::train──► fusion.safetensors ──fuse──► images ──task::train_task──► task.safetensors
//! ```

pub mod error;
pub mod evaluate;
pub mod file;
pub mod fusion;
pub mod fusion_net;
pub mod hypergradient;
pub mod pairs;
pub mod progress;
pub mod report;
pub mod search;
pub mod settings;
pub mod stop;
pub mod task;

pub use error::SearchError;
