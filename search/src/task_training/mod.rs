//! Training a task network on images: visible, infrared, fused.

mod config;
#[cfg(test)]
mod counting_tests;
#[cfg(test)]
mod segmentation_tests;
#[cfg(test)]
mod tests;
mod train;
mod validation;

pub use config::{TaskTrainConfig, TaskValidation};
pub use train::{Finished, files, train};
pub use validation::Validated;
