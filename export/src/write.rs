//! Files appear whole or not at all.

use crate::error::WriteError;
use std::io::Write;
use std::path::Path;

/// Writes `bytes` into a temporary file in the same folder, then renames it.
///
/// # Errors
/// [`WriteError`] naming the folder or file; an existing file is untouched then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| WriteError { action, path, source }
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut aside = tempfile::NamedTempFile::new_in(folder).map_err(failed("create a file in", folder))?;
    aside.write_all(bytes).map_err(failed("write", path))?;
    make_readable(aside.as_file()).map_err(failed("write", path))?;
    aside.as_file().sync_all().map_err(failed("write", path))?;
    aside.persist(path).map_err(|e| failed("rename to", path)(e.error))?;
    Ok(())
}

/// Temporary files are private to their owner; a finished file is an ordinary one.
#[cfg(unix)]
fn make_readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let error = write_atomically(&dir.path().join("absent/m.onnx"), b"x").unwrap_err();
        assert!(error.to_string().contains("create a file in") && error.to_string().contains("absent"), "{error}");
        std::fs::create_dir(dir.path().join("taken")).unwrap();
        assert!(write_atomically(&dir.path().join("taken"), b"x").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        write_atomically(&dir.path().join("m.onnx"), b"xyz").unwrap();
        assert_eq!(std::fs::read(dir.path().join("m.onnx")).unwrap(), b"xyz");
    }
}
