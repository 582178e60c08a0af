//! The YOLOv5 training loss, target assignment and training recipe on libtorch.
//!
//! - [`assign()`] decides which cells of the three grids answer for which object. It runs on the host on plain numbers, so that
//!   its order, and with it the result of a collision, is the same on every device.
//! - [`YoloLoss`] turns raw heads and objects into a differentiable loss: CIoU for boxes, binary cross-entropy for objectness
//!   and classes.
//! - [`Schedule`], [`Group`], [`Ema`] and [`clip_gradients`] are the training recipe around it.
//!
//! # Coordinates
//! Objects and ignore regions are centre and size relative to the network input (0 to 1, x to the right, y down). Cells of a
//! level are `stride` input pixels wide; cell (0, 0) covers the pixels from 0 to `stride`. Anchors are in cells.

mod assign;
mod ciou;
mod ema;
mod error;
mod groups;
mod hyp;
mod ignore;
mod loss;
mod schedule;

pub use assign::{Grid, Matches, Target, assign};
pub use ciou::ciou;
pub use ema::Ema;
pub use error::YoloError;
pub use groups::{Group, clip_gradients};
pub use hyp::{Gains, Hyp};
pub use ignore::{IgnoreRegion, objectness_weights};
pub use loss::{LossValue, YoloLoss};
pub use schedule::{Rates, Schedule};
