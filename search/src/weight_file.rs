//! Weights on disk: written only when they can be used.

use caf_weights::{HostTensor, Weights, WeightsError, save_safetensors};
use std::path::{Path, PathBuf};

/// Why weights are not on disk; a file that was there before is untouched.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// They are broken.
    #[error("{}: not written, because tensor `{name}` has values that are not finite; what was there stays", path.display())]
    NonFinite {
        /// The file.
        path: PathBuf,
        /// The first such tensor.
        name: String,
    },
    /// They cannot be written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// Writes a safetensors file, if every float in it is a number.
///
/// # Errors
/// When one is not, or the folder cannot be written.
pub(crate) fn write_weights(weights: &Weights, path: &Path) -> Result<(), SaveError> {
    let broken = |t: &HostTensor| t.to_f64_vec().is_ok_and(|values| values.iter().any(|v| !v.is_finite()));
    if let Some((name, _)) = weights.iter().find(|(_, tensor)| broken(tensor)) {
        return Err(SaveError::NonFinite { path: path.to_owned(), name: name.to_owned() });
    }
    Ok(save_safetensors(weights, path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_state_never_replaces_a_good_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let weights = |value: f32| {
            let mut weights = Weights::new();
            weights.insert("count", HostTensor::from_i64(&[1], &[i64::MAX]).unwrap()).unwrap();
            weights.insert("good", HostTensor::from_f32(&[2], &[f32::MAX, f32::MIN]).unwrap()).unwrap();
            weights.insert("var", HostTensor::from_f32(&[2], &[1.0, value]).unwrap()).unwrap();
            weights
        };
        write_weights(&weights(2.0), &path).unwrap();
        let good = std::fs::read(&path).unwrap();
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = write_weights(&weights(value), &path).unwrap_err();
            assert!(matches!(&error, SaveError::NonFinite { name, .. } if name == "var"), "{error}");
            assert!(error.to_string().contains("w.safetensors"), "{error}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), good);
    }
}
