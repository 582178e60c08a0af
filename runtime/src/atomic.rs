//! Files that appear complete or not at all: written beside their place, then renamed.

use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

/// The folder that a file is written in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file beside `path` that vanishes unless it is [finished](finish). Fails at once where `path` could not be written.
pub fn begin(path: &Path) -> io::Result<NamedTempFile> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder"));
    }
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    tempfile::Builder::new().prefix(&prefix).suffix(".partial").tempfile_in(folder(path))
}

/// Puts the file in its place with the permissions of an ordinary new file.
pub fn finish(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // Temporary files are private; what a run leaves behind is for others to read, as far as the old file was.
        let mode = std::fs::metadata(path).map_or(0o644, |m| m.permissions().mode());
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    file.persist(path).map(drop).map_err(|e| e.error)
}

/// Writes a whole text.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    use io::Write as _;
    let mut file = begin(path)?;
    file.write_all(text.as_bytes())?;
    finish(file, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_an_unfinished_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        drop(begin(&path).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        write(&path, "one").unwrap();
        write(&path, "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(begin(folder.path()).is_err());
        assert!(begin(&folder.path().join("absent/out.txt")).is_err());
    }
}
