//! Files appear whole or not at all.

use crate::error::ExportError;
use std::path::Path;

/// Writes `bytes` aside, then renames.
///
/// # Errors
/// [`ExportError::Write`] naming the file; an existing file is untouched then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    caf_file::write(path, bytes).map_err(|source| ExportError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let error = write_atomically(&dir.path().join("absent/m.onnx"), b"x").unwrap_err();
        assert!(error.to_string().contains("cannot write") && error.to_string().contains("absent/m.onnx"), "{error}");
        std::fs::create_dir(dir.path().join("taken")).unwrap();
        assert!(write_atomically(&dir.path().join("taken"), b"x").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        write_atomically(&dir.path().join("m.onnx"), b"xyz").unwrap();
        assert_eq!(std::fs::read(dir.path().join("m.onnx")).unwrap(), b"xyz");
    }
}
