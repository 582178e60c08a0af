//! Training a fusion network with a found loss, and fusing folders with it.

mod folder;
mod method;
mod panel;
mod train;

pub use folder::{FuseJob, FuseReport, fuse_folder};
pub use method::{Fuser, Method};
pub use panel::{Panel, panel};
pub use train::{Finished, FusionTrainConfig, train};
