//! Loss search, training and evaluation on libtorch.

pub mod progress;
pub mod stop;
