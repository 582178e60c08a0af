//! A model on a provider.

use crate::binding::{Binding, Slot};
use crate::error::EngineError;
use crate::library::library;
use crate::placement::{self, Placed};
use crate::provider::{Provider, ProviderChoice, ProviderError, choose, register};
use caf_contract::{Array, Contract, GraphPort, METADATA_KEY, Values};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};
use std::path::Path;
use std::sync::Arc;

/// How to load a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineOptions {
    /// Hardware.
    pub provider: ProviderChoice,
    /// Threads of one operator on the CPU; `None`: as many as ONNX Runtime sees fit.
    pub threads: Option<usize>,
}

impl EngineOptions {
    /// On the CPU, as many threads as ONNX Runtime sees fit.
    pub const CPU: Self = Self { provider: ProviderChoice::Cpu, threads: None };
}

/// A model loaded by ONNX Runtime.
pub struct Engine {
    session: Session,
    model: String,
    provider: Provider,
    reason: Option<String>,
}

/// Refuses what people give in place of a model: the weights that one is made of, or a text.
fn require_model(bytes: &[u8], path: &Path) -> Result<(), EngineError> {
    /// Bytes looked at; a model has some below the blank among its first two.
    const HEAD: usize = 64;
    let path = path.to_owned();
    let weights = |found| Err(EngineError::Weights { path: path.clone(), found });
    match bytes {
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => weights("a PyTorch checkpoint"),
        // The length of a JSON object, less than 4 GiB, and its begin.
        [_, _, _, _, 0, 0, 0, 0, b'{', ..] => weights("weights (safetensors)"),
        [] => Err(EngineError::NoModel { path, found: "an empty file" }),
        _ if bytes.iter().take(HEAD).all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) => {
            Err(EngineError::NoModel { path, found: "a text" })
        }
        _ => Ok(()),
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("model", &self.model).field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl Engine {
    /// Loads a model from its file.
    ///
    /// # Errors
    /// When the file cannot be read, there is no ONNX Runtime, the provider cannot be used, or ONNX Runtime refuses the model.
    pub fn open(path: &Path, options: EngineOptions) -> Result<Self, EngineError> {
        // Read here, so that an unreadable file is told apart from a model that ONNX Runtime refuses.
        let bytes = std::fs::read(path).map_err(|source| EngineError::Read { path: path.to_owned(), source })?;
        require_model(&bytes, path)?;
        Self::from_bytes(&path.display().to_string(), &bytes, options)
    }

    /// Loads a model from its bytes; `model` is what messages call it.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn from_bytes(model: &str, bytes: &[u8], options: EngineOptions) -> Result<Self, EngineError> {
        Self::from_parts(model, bytes, &[], options)
    }

    /// Loads a model whose weights lie in other files, from the bytes of all: each of `external_data` under the name by which the
    /// model refers to it. Nothing is read from a disk.
    ///
    /// # Errors
    /// As [`Engine::from_bytes`].
    pub fn from_parts(
        model: &str,
        bytes: &[u8],
        external_data: &[(&str, Arc<[u8]>)],
        options: EngineOptions,
    ) -> Result<Self, EngineError> {
        Self::load(model, bytes, external_data, options, GraphOptimizationLevel::Level3, None)
    }

    /// Loads a model for references: on the CPU, every node as it stands in the file, without anything that ONNX Runtime makes faster.
    ///
    /// # Errors
    /// As [`Engine::from_bytes`].
    pub fn unoptimized(model: &str, bytes: &[u8]) -> Result<Self, EngineError> {
        Self::load(model, bytes, &[], EngineOptions::CPU, GraphOptimizationLevel::Disable, None)
    }

    /// Where each node of a model runs, as ONNX Runtime tells in a profile of one run. Nodes that were merged or added by it have its
    /// names.
    ///
    /// # Errors
    /// As [`Engine::from_parts`] and [`Engine::run`]; [`EngineError::Placement`] without a profile.
    pub fn placement(
        model: &str,
        bytes: &[u8],
        external_data: &[(&str, Arc<[u8]>)],
        options: EngineOptions,
        inputs: &[(String, Array)],
    ) -> Result<Vec<Placed>, EngineError> {
        let cannot = |reason: String| EngineError::Placement { model: model.to_owned(), reason };
        let folder = tempfile::tempdir().map_err(|error| cannot(error.to_string()))?;
        let profile = folder.path().join("profile");
        let level = GraphOptimizationLevel::Level3;
        let mut engine = Self::load(model, bytes, external_data, options, level, Some(&profile))?;
        engine.run(inputs)?;
        let file = engine.session.end_profiling().map_err(|error| cannot(error.to_string()))?;
        let text = std::fs::read_to_string(file).map_err(|error| cannot(error.to_string()))?;
        placement::of_profile(&text).map_err(cannot)
    }

    fn load(
        model: &str,
        bytes: &[u8],
        external_data: &[(&str, Arc<[u8]>)],
        options: EngineOptions,
        level: GraphOptimizationLevel,
        profile: Option<&Path>,
    ) -> Result<Self, EngineError> {
        let library = library()?;
        let (provider, reason) = choose(options.provider, &library);
        let load = |source: ort::Error| EngineError::Load { model: model.to_owned(), source };
        let plain = |error: ort::Error<SessionBuilder>| load(ort::Error::new_with_code(error.code(), error.message()));
        let mut builder = Session::builder(&library.environment).map_err(load)?;
        builder = builder.with_optimization_level(level).map_err(plain)?;
        if let Some(profile) = profile {
            builder = builder.with_profiling(profile).map_err(plain)?;
        }
        for (name, bytes) in external_data {
            builder = builder.with_external_initializer_file_in_memory(name, bytes.clone()).map_err(plain)?;
        }
        if let Some(threads) = options.threads {
            builder = builder.with_intra_threads(threads).map_err(plain)?;
        }
        builder = register(builder, provider, &library)
            .map_err(|fault| ProviderError { provider: provider.name(), fault })?;
        let session = builder.commit_from_memory(bytes).map_err(load)?;
        Ok(Self { session, model: model.to_owned(), provider, reason })
    }

    /// What messages call the model: the path of its file, or what [`Engine::from_bytes`] was told.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.model
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

    /// A metadata value.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<String> {
        self.session.metadata().ok().and_then(|m| m.custom(key))
    }

    /// The inputs of the graph.
    #[must_use]
    pub fn inputs(&self) -> Vec<GraphPort> {
        self.session.inputs().iter().map(graph_port).collect()
    }

    /// The outputs of the graph.
    #[must_use]
    pub fn outputs(&self) -> Vec<GraphPort> {
        self.session.outputs().iter().map(graph_port).collect()
    }

    /// What the model promises, after comparing it with what the graph is.
    ///
    /// # Errors
    /// [`EngineError::Contract`] without a usable contract, [`EngineError::Broken`] with every difference.
    pub fn contract(&self) -> Result<Contract, EngineError> {
        let contract = Contract::from_metadata(self.metadata(METADATA_KEY).as_deref())
            .map_err(|source| EngineError::Contract { model: self.model.clone(), source })?;
        let found = contract.mismatches(&self.inputs(), &self.outputs());
        if found.is_empty() { Ok(contract) } else { Err(EngineError::Broken { model: self.model.clone(), found }) }
    }

    /// Runs the model once on inputs by name; outputs are in its order.
    ///
    /// # Errors
    /// When inputs do not fit, or an output is neither floats nor bytes.
    pub fn run(&mut self, inputs: &[(impl AsRef<str>, Array)]) -> Result<Vec<(String, Array)>, EngineError> {
        let Self { session, model, .. } = self;
        let failed = |source| EngineError::Run { model: model.clone(), source };
        let mut given: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for (name, array) in inputs {
            let shape = array.shape.clone();
            let value = match &array.values {
                Values::F32(v) => Tensor::from_array((shape, v.clone())).map_err(failed)?.into(),
                Values::U8(v) => Tensor::from_array((shape, v.clone())).map_err(failed)?.into(),
            };
            given.push((name.as_ref(), value));
        }
        let outputs = session.run(given).map_err(failed)?;
        let mut arrays = Vec::with_capacity(outputs.len());
        for (name, value) in outputs.iter() {
            let array = if let Ok((shape, values)) = value.try_extract_tensor::<f32>() {
                Array { shape: extents(shape), values: Values::F32(values.to_vec()) }
            } else if let Ok((shape, values)) = value.try_extract_tensor::<u8>() {
                Array { shape: extents(shape), values: Values::U8(values.to_vec()) }
            } else {
                let (output, found) = (name.to_owned(), format!("{:?}", value.dtype()));
                return Err(EngineError::Output { model: model.clone(), output, found });
            };
            arrays.push((name.to_owned(), array));
        }
        Ok(arrays)
    }

    /// Makes memory for inputs and outputs of these shapes.
    ///
    /// # Errors
    /// When there is no memory, or a name is none of the model's.
    pub fn bind(&self, inputs: &[Slot<'_>], outputs: &[Slot<'_>]) -> Result<Binding, EngineError> {
        Binding::new(&self.session, inputs, outputs).map_err(|source| self.failed(source))
    }

    /// Runs the model on what lies in the binding's inputs; its outputs hold the results afterwards. Allocates nothing here.
    ///
    /// # Errors
    /// When inference fails.
    pub fn run_bound(&mut self, binding: &mut Binding) -> Result<(), EngineError> {
        // A device's copy of an input is made when it is bound.
        let copied = if self.provider == Provider::Cpu { Ok(()) } else { binding.bind_inputs() };
        copied.and_then(|()| binding.run(&mut self.session)).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: ort::Error) -> EngineError {
        EngineError::Run { model: self.model.clone(), source }
    }
}

fn extents(shape: &[i64]) -> Vec<usize> {
    shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect()
}

fn graph_port(outlet: &Outlet) -> GraphPort {
    let (element, shape) = match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => ("f32".to_owned(), shape.to_vec()),
        ValueType::Tensor { ty: TensorElementType::Uint8, shape, .. } => ("u8".to_owned(), shape.to_vec()),
        ValueType::Tensor { ty, shape, .. } => (format!("{ty:?}"), shape.to_vec()),
        other => (format!("{other:?}"), Vec::new()),
    };
    GraphPort { name: outlet.name().to_owned(), element, shape }
}
