//! ONNX Runtime, as far as verification needs it.

use ort::environment::Environment;
use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Elements of an array, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// Bytes.
    U8(Vec<u8>),
}

/// A dense array in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Elements.
    pub values: Values,
}

/// What ONNX Runtime refused.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No library.
    #[error("cannot load ONNX Runtime from {}: {reason}; set ORT_DYLIB_PATH to the library", path.display())]
    Library {
        /// The file that was tried.
        path: PathBuf,
        /// Its reason.
        reason: String,
    },
    /// The model cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// The model is not valid, or cannot be run.
    #[error("ONNX Runtime refuses the model")]
    Runtime(#[from] ort::Error),
    /// An output of a type that is not compared.
    #[error("output `{name}`: expected floats or bytes, found {found}")]
    Output {
        /// The output.
        name: String,
        /// Its type.
        found: String,
    },
}

/// A model loaded by ONNX Runtime on the CPU.
pub struct Engine {
    session: Session,
}

/// The process's one environment, made at the first call. ONNX Runtime allows no second: whoever needs sessions of his own in
/// the same process takes this one.
///
/// # Errors
/// [`EngineError::Library`] when the library that `ORT_DYLIB_PATH` names (`libonnxruntime.so` without it) cannot be used.
pub fn environment() -> Result<Environment, EngineError> {
    static LOADED: Mutex<Option<Environment>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let path = std::env::var_os("ORT_DYLIB_PATH").map_or_else(|| PathBuf::from("libonnxruntime.so"), PathBuf::from);
    let failed = |reason: String| EngineError::Library { path: path.clone(), reason };
    let builder = ort::init_from(&path).map_err(|e| failed(e.to_string()))?;
    let environment = builder.with_name("caf-export").build().map_err(|e| failed(e.to_string()))?;
    *loaded = Some(environment.clone());
    Ok(environment)
}

impl Engine {
    /// Loads a model from its bytes.
    ///
    /// # Errors
    /// When there is no ONNX Runtime or it refuses the model.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EngineError> {
        let mut builder = Session::builder(&environment()?)?;
        Ok(Engine { session: builder.commit_from_memory(bytes)? })
    }

    /// Loads a model from a file.
    ///
    /// # Errors
    /// As [`Engine::from_bytes`], and when the file cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, EngineError> {
        let bytes = std::fs::read(path).map_err(|source| EngineError::Read { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes)
    }

    /// A metadata value.
    pub fn metadata(&self, key: &str) -> Option<String> {
        self.session.metadata().ok().and_then(|m| m.custom(key))
    }

    /// Names, element types and extents of the inputs; −1 where open.
    pub fn inputs(&self) -> Vec<(String, String, Vec<i64>)> {
        self.session.inputs().iter().map(describe).collect()
    }

    /// Names, element types and extents of the outputs; −1 where open.
    pub fn outputs(&self) -> Vec<(String, String, Vec<i64>)> {
        self.session.outputs().iter().map(describe).collect()
    }

    /// Runs the model once; outputs are in its order.
    ///
    /// # Errors
    /// When inputs do not fit.
    pub fn run(&mut self, inputs: &[(&str, Array)]) -> Result<Vec<(String, Array)>, EngineError> {
        let mut given: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for (name, array) in inputs {
            let shape = array.shape.clone();
            let value = match &array.values {
                Values::F32(v) => Tensor::from_array((shape, v.clone()))?.into(),
                Values::U8(v) => Tensor::from_array((shape, v.clone()))?.into(),
            };
            given.push((name, value));
        }
        let outputs = self.session.run(given)?;
        let mut arrays = Vec::with_capacity(outputs.len());
        for (name, value) in outputs.iter() {
            let array = if let Ok((shape, values)) = value.try_extract_tensor::<f32>() {
                Array { shape: extents(shape), values: Values::F32(values.to_vec()) }
            } else if let Ok((shape, values)) = value.try_extract_tensor::<u8>() {
                Array { shape: extents(shape), values: Values::U8(values.to_vec()) }
            } else {
                return Err(EngineError::Output { name: name.to_owned(), found: format!("{:?}", value.dtype()) });
            };
            arrays.push((name.to_owned(), array));
        }
        Ok(arrays)
    }
}

fn extents(shape: &[i64]) -> Vec<usize> {
    shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect()
}

fn describe(outlet: &Outlet) -> (String, String, Vec<i64>) {
    let (kind, shape) = match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => ("f32".to_owned(), shape.to_vec()),
        ValueType::Tensor { ty: TensorElementType::Uint8, shape, .. } => ("u8".to_owned(), shape.to_vec()),
        ValueType::Tensor { ty, shape, .. } => (format!("{ty:?}"), shape.to_vec()),
        other => (format!("{other:?}"), Vec::new()),
    };
    (outlet.name().to_owned(), kind, shape)
}
