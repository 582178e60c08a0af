//! What several tests need.

use caf_export::environment;

/// Whether ONNX Runtime can be loaded; says so when it cannot.
pub fn engine_present(test: &str) -> bool {
    match environment() {
        Ok(_) => true,
        Err(error) => {
            caf_golden::say(&format!("SKIP {test}: {error}"));
            false
        }
    }
}
