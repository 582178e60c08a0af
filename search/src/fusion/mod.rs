//! Training a fusion network with a found loss, and fusing folders with it.

mod config;
mod folder;
mod method;
mod panel;
mod teacher;
mod train;
mod training;
mod validation;

pub use config::{FusionTrainConfig, FusionValidation};
pub use folder::{FuseJob, FuseReport, fuse_folder};
pub use method::{Fuser, Method};
pub(crate) use panel::{Panel, gray_rgb};
pub use teacher::TeacherSettings;
pub use train::{Finished, train};
pub use validation::Validated;
