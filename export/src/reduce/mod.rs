//! From a model in single precision to one of less: calibration, the layers that must stay, the loss against limits.
//!
//! [`Frames`] are real pairs as a model's inputs. [`half()`] and [`int8()`] find the [`Reduction`] of a model: the ranges that integers stand
//! for, what each layer alone costs, which layers stay in single precision for that, and which because integers make them slower.
//! [`measure`] is the accuracy gate: the loss on pairs that no choice was made on, against [`Limits`].

mod agreement;
mod calibrate;
mod choose;
mod cpu;
mod frames;
mod gate;
mod page;
mod reduction;
mod score;
mod time;
mod watch;

pub use agreement::OutputLoss;
pub use choose::{Kept, Sensitivity, Targets};
pub use cpu::Cpu;
pub use frames::{Frame, Frames};
pub use gate::{Both, Limits, Loss, Spread, TaskLoss, Verdict, measure};
pub use page::page;
pub use reduction::{Choice, Int8Choice, NamedRange, Reduction, half, int8};
pub use time::{Chain, Timed, alternate};
pub use watch::Watch;
