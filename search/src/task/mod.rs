//! Training and measuring detectors on images: visible, infrared, fused.
//!
//! [`train_task`] trains a YOLOv5 network on [`TaskImages`] by a [`TaskConfig`]; [`evaluate_task`] measures one. Images come from
//! a data set in the plain layout, seen through an [`ImageSource`], so that the same pairs, labels and lists serve every way of
//! fusing them.

mod batch;
mod checkpoint;
mod config;
mod detector;
mod error;
mod evaluate;
#[cfg(test)]
pub(crate) mod fixture;
mod images;
mod log;
mod report;
mod train;
#[cfg(test)]
mod train_tests;
mod trainer;

pub use batch::{Batch, Plan, with_batches};
pub use config::{OptimizerConfig, TaskConfig, ValidationConfig};
pub use detector::{
    CLASSES_KEY, CONFIG_KEY, Description, Detector, IMAGE_SIZE_KEY, Loaded, NETWORK, NETWORK_KEY, Start, load_detector,
    start,
};
pub use error::TaskError;
pub use evaluate::{Detected, EvalSettings, detect, evaluate_task};
pub use images::{ImageSource, TaskImage, TaskImages};
pub use log::{EpochRow, HEADER, Scores};
pub use report::{ClassReport, DetectionReport};
pub use train::{TaskOutcome, TaskRun, files, train_task};
