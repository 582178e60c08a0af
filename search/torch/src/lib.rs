//! Runs a [`caf_net::Graph`] on libtorch.
//!
//! Parameters are an argument of [`forward()`], never a member of a network: the unrolled step of the loss search evaluates one
//! graph at ω′, ω + Rv and ω − Rv by handing over other tensors. Nothing but [`Mode::Train`] changes anything, and that only the
//! running statistics.
//!
//! All calls of libtorch are the fallible ones; no input makes this crate panic.

mod conv;
mod convert;
mod device;
mod error;
mod forward;
mod grad;
mod layout;
mod memory;
mod mode;
mod norm;
mod ops;
pub mod optim;
mod params;
mod trace;
mod work;

pub use conv::{Window, channels_last, convolve};
pub use convert::{host_from_tensor, tensor_from_host};
pub use device::{cuda_library_version, device_from_name};
pub use error::TorchError;
pub use forward::{forward, only};
pub use grad::{GradOptions, gradients, gradients_of_all, norm};
pub use layout::{Layout, Layouts, layouts, set_layouts};
pub use memory::keep_freed_memory;
pub use mode::Mode;
pub use norm::set_own_statistics;
pub use params::Params;
pub use trace::{Trace, forward_traced};
pub use work::{Passes, Work, count_conv_flop, count_passes, counted};
