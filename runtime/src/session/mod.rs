//! A fusion model in ONNX Runtime.

mod runner;

use std::path::Path;

use caf_contract::{Contract, INPUT_IR};
use caf_engine::{Engine, EngineOptions, Provider, gpu_is_present};
use caf_geometry::Size;

use crate::error::RuntimeError;
pub use runner::{Fused, Runner, Timings};

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
    /// As [`Engine::open`] and [`Engine::contract`]; [`RuntimeError::NoFusion`] for a model that only runs tasks.
    pub fn load(path: &Path, options: EngineOptions) -> Result<Self, RuntimeError> {
        Self::new(Engine::open(path, options)?)
    }

    /// Takes a model that was loaded otherwise, as from a bundle.
    ///
    /// # Errors
    /// As [`Engine::contract`]; [`RuntimeError::NoFusion`] for a model that only runs tasks.
    pub fn new(engine: Engine) -> Result<Self, RuntimeError> {
        let contract = engine.contract()?;
        if contract.fuses() {
            Ok(Self { engine, contract })
        } else {
            Err(RuntimeError::NoFusion { path: engine.name().into(), found: contract.summary() })
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
