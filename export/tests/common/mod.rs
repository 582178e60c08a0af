//! What several tests need.

pub mod folder;

use caf_engine::library;

/// Whether ONNX Runtime can be loaded; says so when it cannot. Where `ORT_DYLIB_PATH` promises one, its absence is a failure.
pub fn engine_present(test: &str) -> bool {
    match library() {
        Ok(_) => true,
        Err(error) => {
            assert!(std::env::var_os("ORT_DYLIB_PATH").is_none(), "{test}: {error}");
            caf_golden::say(&format!("SKIP {test}: {error}"));
            false
        }
    }
}
