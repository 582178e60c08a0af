//! ONNX Runtime for everyone who runs an exported model: the vehicle, verification, tests.
//!
//! [`library()`] finds and loads ONNX Runtime once a process. [`Engine`] is a model on one [`Provider`], which is chosen
//! explicitly; nothing falls back in silence. [`Engine::contract`] reads what the model promises and refuses a model that is not
//! so. Arrays are run once with [`Engine::run`]; frames again and again with a [`Binding`], whose memory is made once.

mod binding;
mod engine;
mod error;
mod library;
mod placement;
mod provider;

pub use binding::{Binding, Slot, View, ViewMut};
pub use caf_contract::{Array, Values};
pub use engine::{Engine, EngineOptions};
pub use error::EngineError;
pub use library::{LIBRARY_VARIABLE, Library, LibraryError, library};
pub use placement::Placed;
pub use provider::{Provider, ProviderChoice, ProviderError, ProviderFault, gpu_is_present, probe};
