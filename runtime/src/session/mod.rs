//! A fusion model in ONNX Runtime.

pub mod library;
pub mod ports;
pub mod provider;
mod runner;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use caf_contract::{Contract, ContractError, METADATA_KEY};
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use library::LibraryError;
use ports::Mismatch;
use provider::{Provider, ProviderChoice, ProviderError};

pub use runner::{Fused, Runner, Timings};

/// Why a model cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// ONNX Runtime is missing.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The hardware is missing.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The model.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// ONNX Runtime refuses the model.
    #[error("{path}: ONNX Runtime cannot load it: {source}")]
    Load {
        /// The model.
        path: PathBuf,
        /// The cause.
        source: ort::Error,
    },
    /// The model was not written by this project, or by another version of it.
    #[error("{path}: {source}")]
    Contract {
        /// The model.
        path: PathBuf,
        /// What is wrong with it.
        source: ContractError,
    },
    /// The model is not what its contract says, or cannot fuse.
    #[error("{path}: the model cannot be run here:{}", list(found))]
    Broken {
        /// The model.
        path: PathBuf,
        /// Every difference.
        found: Vec<Mismatch>,
    },
    /// The images do not fit the model.
    #[error("the images do not fit the model (scale them, or export it for their size): {0}")]
    Images(Mismatch),
    /// The pixels do not fit a tensor.
    #[error(transparent)]
    Pixels(#[from] crate::pixels::PixelError),
    /// Inference failed.
    #[error("inference failed: {0}")]
    Run(#[source] ort::Error),
}

fn list(found: &[Mismatch]) -> String {
    found.iter().fold(String::new(), |mut text, m| {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {m}");
        text
    })
}

/// How to load a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelOptions {
    /// Hardware.
    pub provider: ProviderChoice,
    /// Threads of one operator on the CPU; `None`: as many as ONNX Runtime sees fit.
    pub threads: Option<usize>,
}

/// A loaded model whose contract was checked against its real inputs and outputs.
pub struct Model {
    session: Session,
    contract: Contract,
    provider: Provider,
    reason: Option<String>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("contract", &self.contract)
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

impl Model {
    /// Loads a model that fuses (role `fusion` or `pipeline`).
    pub fn load(path: &Path, options: ModelOptions) -> Result<Self, SessionError> {
        // Read here, so that an unreadable file is told apart from a model that ONNX Runtime refuses.
        let bytes = std::fs::read(path).map_err(|source| SessionError::Read { path: path.to_path_buf(), source })?;
        let library = library::library()?;
        let (provider, reason) = provider::choose(options.provider, &library);
        let load = |source: ort::Error| SessionError::Load { path: path.to_path_buf(), source };
        let plain = |error: ort::Error<SessionBuilder>| load(ort::Error::new_with_code(error.code(), error.message()));
        let mut builder = Session::builder(&library.environment).map_err(load)?;
        builder = builder.with_optimization_level(GraphOptimizationLevel::Level3).map_err(plain)?;
        if let Some(threads) = options.threads {
            builder = builder.with_intra_threads(threads).map_err(plain)?;
        }
        builder = provider::register(builder, provider, &library)
            .map_err(|fault| ProviderError { provider: provider.name(), fault })?;
        let session = builder.commit_from_memory(&bytes).map_err(load)?;
        let metadata = session.metadata().map_err(load)?.custom(METADATA_KEY);
        let contract = Contract::from_metadata(metadata.as_deref())
            .map_err(|source| SessionError::Contract { path: path.to_path_buf(), source })?;
        let found = ports::check(&contract, session.inputs(), session.outputs());
        if !found.is_empty() {
            return Err(SessionError::Broken { path: path.to_path_buf(), found });
        }
        Ok(Self { session, contract, provider, reason })
    }

    /// What the model promises.
    #[must_use]
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Where it runs.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Why it runs there, when the choice was left to the program.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The height and width in pixels the model is fixed to, where it is.
    #[must_use]
    pub fn fixed_size(&self) -> (Option<usize>, Option<usize>) {
        self.contract.inputs.first().map_or((None, None), ports::fixed_size)
    }
}
