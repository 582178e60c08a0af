//! Finding ONNX Runtime, which is loaded while the program runs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

/// Names an ONNX Runtime library to use, before any other place is looked at.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

const FILE_NAMES: [&str; 2] = ["libonnxruntime.so", "libonnxruntime.so.1"];

/// Why ONNX Runtime is not there.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// No place has a usable library.
    #[error("no ONNX Runtime 1.22 or later was found; tried:{tried}\nName the library by {LIBRARY_VARIABLE}")]
    NotFound {
        /// One line a place, with the reason.
        tried: String,
    },
    /// The library is there but refuses to start.
    #[error("ONNX Runtime at {path} does not start: {source}")]
    Start {
        /// Which library.
        path: String,
        /// Its reason.
        source: ort::Error,
    },
}

/// A loaded ONNX Runtime.
#[derive(Clone, Debug)]
pub struct Library {
    /// The process-wide environment that sessions are made in.
    pub environment: Environment,
    /// Where it was found; a bare name was resolved by the system's loader.
    pub path: PathBuf,
}

impl Library {
    /// ONNX Runtime's description of itself.
    #[must_use]
    pub fn build(&self) -> String {
        ort::info().to_owned()
    }
}

static LOADED: Mutex<Option<Library>> = Mutex::new(None);

/// ONNX Runtime, loaded on the first call: what [`LIBRARY_VARIABLE`] names and nothing else; without it the library
/// beside the executable, then in `../lib`, then wherever the system's loader finds it.
pub fn library() -> Result<Library, LibraryError> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = loaded.as_ref() {
        return Ok(library.clone());
    }
    let named = std::env::var_os(LIBRARY_VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from);
    let library = load(&candidates(named, std::env::current_exe().ok().as_deref()))?;
    *loaded = Some(library.clone());
    Ok(library)
}

/// Where to look, best first.
fn candidates(named: Option<PathBuf>, executable: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = named {
        return vec![path];
    }
    let beside = executable.and_then(Path::parent);
    let folders = beside.into_iter().flat_map(|d| [d.to_path_buf(), d.join("../lib")]);
    let files = folders.flat_map(|folder| FILE_NAMES.map(|name| folder.join(name)));
    files.chain(FILE_NAMES.map(PathBuf::from)).collect()
}

fn load(candidates: &[PathBuf]) -> Result<Library, LibraryError> {
    let mut tried = String::new();
    for path in candidates {
        let bare = path.parent().is_none_or(|p| p.as_os_str().is_empty());
        let reason = if !bare && !path.exists() {
            "no such file".to_owned()
        } else {
            match ort::init_from(path) {
                Ok(builder) => {
                    let started = builder.with_name("caf").build();
                    return match started {
                        Ok(environment) => Ok(Library { environment, path: path.clone() }),
                        Err(source) => Err(LibraryError::Start { path: path.display().to_string(), source }),
                    };
                }
                Err(error) => error.to_string(),
            }
        };
        // Writing to a string cannot fail.
        let _ = write!(tried, "\n  {}: {reason}", path.display());
    }
    Err(LibraryError::NotFound { tried })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_library_is_the_only_candidate() {
        let named = PathBuf::from("/opt/ort/libonnxruntime.so");
        assert_eq!(candidates(Some(named.clone()), Some(Path::new("/usr/bin/caf-run"))), [named]);
    }

    #[test]
    fn places_are_tried_in_order_and_listed_when_all_fail() {
        let folder = tempfile::tempdir().unwrap();
        let places = candidates(None, Some(&folder.path().join("bin/caf-run")));
        assert_eq!(places[0], folder.path().join("bin/libonnxruntime.so"));
        assert_eq!(places[2], folder.path().join("bin/../lib/libonnxruntime.so"));
        assert_eq!(places[4], PathBuf::from("libonnxruntime.so"));
        let garbage = folder.path().join("garbage.so");
        std::fs::write(&garbage, b"not a library").unwrap();
        let error = load(&[places[0].clone(), garbage.clone()]).unwrap_err().to_string();
        assert!(error.contains("bin/libonnxruntime.so: no such file"), "{error}");
        assert!(error.contains("garbage.so: ") && error.contains(LIBRARY_VARIABLE), "{error}");
    }
}
