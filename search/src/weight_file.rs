//! Reading weights, whatever wrote them.

use caf_weights::import::{ImportError, ImportOptions, import_checkpoint};
use caf_weights::{Weights, WeightsError, load_safetensors};
use std::path::Path;

/// The weights of a safetensors file, or of an original checkpoint (`.pt`, `.pth`) without executing anything in it. Half precision
/// is widened.
///
/// # Errors
/// When the file cannot be read or is refused.
pub(crate) fn read_weights<E: From<WeightsError> + From<ImportError>>(path: &Path) -> Result<Weights, E> {
    let original = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("pt") || e.eq_ignore_ascii_case("pth"));
    if original {
        return Ok(import_checkpoint(path, &ImportOptions::default())?.weights);
    }
    Ok(load_safetensors(path)?.widened())
}
