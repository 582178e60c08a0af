//! Which hardware a model runs on. The choice is explicit: nothing falls back in silence.

use std::path::PathBuf;

use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use ort::session::builder::SessionBuilder;
use serde::Serialize;

use crate::library::Library;

/// What the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProviderChoice {
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU, without engine building.
    Cuda,
    /// An NVIDIA GPU, with engines that are built when the model is loaded.
    Tensorrt,
    /// CUDA where it works, else the CPU.
    #[default]
    Auto,
}

/// What is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The CPU.
    Cpu,
    /// CUDA.
    Cuda,
    /// TensorRT.
    Tensorrt,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Cuda, Self::Tensorrt];

    /// Name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Tensorrt => "tensorrt",
        }
    }

    /// The library that ONNX Runtime loads for it.
    #[must_use]
    pub const fn library(self) -> Option<&'static str> {
        match self {
            Self::Cpu => None,
            Self::Cuda => Some("libonnxruntime_providers_cuda.so"),
            Self::Tensorrt => Some("libonnxruntime_providers_tensorrt.so"),
        }
    }

    fn compiled(self) -> ort::Result<bool> {
        match self {
            Self::Cpu => Ok(true),
            Self::Cuda => ep::CUDA::is_available(),
            Self::Tensorrt => ep::TensorRT::is_available(),
        }
    }

    fn dispatch(self) -> Option<ExecutionProviderDispatch> {
        match self {
            Self::Cpu => None,
            Self::Cuda => Some(ep::CUDA::default().build().error_on_failure()),
            Self::Tensorrt => Some(ep::TensorRT::default().build().error_on_failure()),
        }
    }
}

/// A provider that was asked for and cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("provider `{provider}` {fault}")]
pub struct ProviderError {
    /// Which provider.
    pub provider: &'static str,
    /// Why.
    pub fault: ProviderFault,
}

/// Why a provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProviderFault {
    /// This ONNX Runtime was built without it.
    #[error(
        "needs {library}, which the ONNX Runtime at {runtime} was built without; the package onnxruntime-gpu has it"
    )]
    NotBuilt {
        /// Its library.
        library: &'static str,
        /// Which ONNX Runtime.
        runtime: PathBuf,
    },
    /// Its library or what that needs cannot be loaded, or there is no such device.
    #[error("cannot be used ({library} of the ONNX Runtime at {runtime}): {source}")]
    Unusable {
        /// Its library.
        library: &'static str,
        /// Which ONNX Runtime.
        runtime: PathBuf,
        /// ONNX Runtime's reason.
        source: ort::Error,
    },
    /// ONNX Runtime cannot make a session at all.
    #[error("cannot be tried: ONNX Runtime makes no session: {0}")]
    Builder(#[source] ort::Error),
}

/// Adds the provider to a session that is being built.
pub(crate) fn register(
    builder: SessionBuilder,
    provider: Provider,
    library: &Library,
) -> Result<SessionBuilder, ProviderFault> {
    let (Some(dispatch), Some(file)) = (provider.dispatch(), provider.library()) else { return Ok(builder) };
    let runtime = || library.path.clone();
    if !provider.compiled().map_err(ProviderFault::Builder)? {
        return Err(ProviderFault::NotBuilt { library: file, runtime: runtime() });
    }
    builder.with_execution_providers([dispatch]).map_err(|error| ProviderFault::Unusable {
        library: file,
        runtime: runtime(),
        source: ort::Error::new_with_code(error.code(), error.message()),
    })
}

/// Whether the machine has an NVIDIA GPU with its driver: where there is none, nobody needs to know why CUDA is not used.
#[must_use]
pub fn gpu_is_present() -> bool {
    // The driver's devices on desktops and servers, and the GPU's on Jetson boards.
    ["/dev/nvidia0", "/dev/nvhost-gpu", "/proc/driver/nvidia/version"]
        .iter()
        .any(|device| std::path::Path::new(device).exists())
}

/// `Ok` when sessions on that provider can be made here.
pub fn probe(provider: Provider, library: &Library) -> Result<(), ProviderFault> {
    let builder = SessionBuilder::new(&library.environment).map_err(ProviderFault::Builder)?;
    register(builder, provider, library).map(drop)
}

/// The provider for a choice and, for [`ProviderChoice::Auto`], why.
pub(crate) fn choose(choice: ProviderChoice, library: &Library) -> (Provider, Option<String>) {
    match choice {
        ProviderChoice::Cpu => (Provider::Cpu, None),
        ProviderChoice::Cuda => (Provider::Cuda, None),
        ProviderChoice::Tensorrt => (Provider::Tensorrt, None),
        ProviderChoice::Auto => match probe(Provider::Cuda, library) {
            Ok(()) => (Provider::Cuda, Some("`cuda` works here".to_owned())),
            Err(fault) => (Provider::Cpu, Some(format!("`cuda` {fault}"))),
        },
    }
}
