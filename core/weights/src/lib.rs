//! Weight files: safetensors in and out, original checkpoints read without executing them.
//!
//! [`Weights`] is an ordered list of named [`HostTensor`]s with string metadata. [`load_safetensors`] and
//! [`save_safetensors`] move it to and from disk, [`import::import_checkpoint`] reads PyTorch checkpoints, [`read_weights`] reads
//! either, by content; [`initial`] makes fresh values, and [`Weights::check`] says everything that is wrong between a file and a
//! network at once. [`NetworkFile`] finds out which network of the zoo a file holds, from its [`Metadata`] or its tensors. What fails,
//! fails with a [`WeightsError`].

mod cause;
mod check;
mod dtype;
mod error;
mod file;
mod header;
pub mod import;
mod init;
mod metadata;
mod mismatch;
mod network;
mod read;
mod rename;
mod tensor;
mod tidy;
mod weights;

pub use cause::{DuplicateName, InitError, MetadataError, RenameError, TensorError};
pub use dtype::DType;
pub use error::{FileFault, ImportCause, WeightsError};
pub use file::{load_safetensors, save_safetensors};
pub use init::initial;
pub use metadata::Metadata;
pub use mismatch::{Differences, Differing, Kind, Mismatch, Misshapen, NonFinite, Untyped, Wanted};
pub use network::{FusionFile, NetworkFile, TaskFile, read_named};
pub use read::{WeightFile, is_safetensors, other_kind, read_weights};
pub use tensor::HostTensor;
pub use weights::Weights;
