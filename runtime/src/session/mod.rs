//! A fusion model in ONNX Runtime.

mod runner;

use std::path::{Path, PathBuf};

use caf_contract::{Contract, INPUT_IR, Mismatch};
use caf_engine::{Engine, EngineError, EngineOptions, Provider, gpu_is_present};
use caf_geometry::Size;

use crate::frame::FrameError;
pub use runner::{Fused, Runner, Timings};

/// Why a model cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The engine refuses the model or fails.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The model does not fuse.
    #[error("{path}: expected a model that fuses pairs, found one that only {found}: export it with --fusion")]
    NoFusion {
        /// The model.
        path: PathBuf,
        /// What it does.
        found: String,
    },
    /// The images do not fit the model.
    #[error("the images do not fit the model: {0}")]
    Images(Mismatch),
    /// The images are of another size than the one that the model is fixed to.
    #[error(
        "the model is fixed to images of {expected}, found {found}: scale them, or export the model without --size, which gives \
         one for images of every size"
    )]
    FixedSize {
        /// The model's.
        expected: Size,
        /// The images'.
        found: Size,
    },
    /// The pixels do not fit a tensor.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl SessionError {
    /// True when the call was wrong rather than the work failing.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_wrong_call(),
            Self::NoFusion { .. } => true,
            Self::Images(_) | Self::FixedSize { .. } | Self::Frame(_) => false,
        }
    }
}

/// A loaded model whose contract was checked against its real inputs and outputs.
#[derive(Debug)]
pub struct Model {
    engine: Engine,
    contract: Contract,
}

impl Model {
    /// Loads a model that fuses.
    ///
    /// # Errors
    /// As [`Engine::open`] and [`Engine::contract`]; [`SessionError::NoFusion`] for a model that only runs tasks.
    pub fn load(path: &Path, options: EngineOptions) -> Result<Self, SessionError> {
        Self::new(Engine::open(path, options)?)
    }

    /// Takes a model that was loaded otherwise, as from a bundle.
    ///
    /// # Errors
    /// As [`Engine::contract`]; [`SessionError::NoFusion`] for a model that only runs tasks.
    pub fn new(engine: Engine) -> Result<Self, SessionError> {
        let contract = engine.contract()?;
        if contract.fuses() {
            Ok(Self { engine, contract })
        } else {
            Err(SessionError::NoFusion { path: engine.name().into(), found: contract.summary() })
        }
    }

    /// What the model promises.
    #[must_use]
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// What messages call it: the path of its file.
    #[must_use]
    pub fn name(&self) -> &str {
        self.engine.name()
    }

    /// Where it runs.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.engine.provider()
    }

    /// Why it runs there, when the choice was left to the program.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.engine.reason()
    }

    /// What a person should know about the choice of the hardware, when it was left to the program: there is a GPU, and why it
    /// is not used. Where there is none, nobody needs to hear so.
    #[must_use]
    pub fn notice(&self) -> Option<&str> {
        let is_unused = self.provider() == Provider::Cpu && gpu_is_present();
        self.reason().filter(|_| is_unused)
    }

    /// The size of images that the model is fixed to, where it is.
    #[must_use]
    pub fn fixed_size(&self) -> Option<Size> {
        self.contract.input(INPUT_IR).ok().and_then(caf_contract::Port::fixed_size)
    }
}
