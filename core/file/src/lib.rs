//! Files that appear complete or not at all.
//!
//! What is written lies beside its place, under a hidden name beginning with `.partial-`, until it is finished. Then it is
//! on disk and renamed, so that a reader finds the old file or the whole new one, and a full disk or an error on the way
//! leaves what was there. A process that is killed leaves the file aside; nothing reads it, and it can be deleted.
//!
//! Which bytes a file holds is told by their [`Sha256Hash`].
//!
//! Errors are [`std::io::Error`]; callers know what the file is for and add its path.
//!
//! ```no_run
//! use std::io::Write as _;
//!
//! let mut aside = caf_file::begin("report.json".as_ref())?;
//! writeln!(aside, "{{}}")?;
//! aside.finish()?;
//! # std::io::Result::Ok(())
//! ```

mod hash;

use std::fs::Permissions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

pub use hash::{Sha256Hash, from_hexadecimal, hexadecimal};

/// How the names of unfinished files begin. Of fixed length, so that every name the file system takes can be written.
const PREFIX: &str = ".partial-";

/// A file being written beside its place. Dropped unfinished, it leaves nothing.
///
/// Writes go straight to the operating system; put a [`std::io::BufWriter`] around it for many small ones.
#[derive(Debug)]
pub struct Aside {
    file: NamedTempFile,
    target: PathBuf,
    /// Permissions of the file that is replaced.
    replaced: Option<Permissions>,
}

/// Begins a file that will replace what is at `path`, or be new there. Its folder must exist.
///
/// # Errors
/// At once where `path` could not be written: the folder is missing or refuses new files
/// ([`io::ErrorKind::NotFound`], [`io::ErrorKind::PermissionDenied`], …), `path` is a folder
/// ([`io::ErrorKind::IsADirectory`]), a device or a pipe, or has no file name ([`io::ErrorKind::InvalidInput`]).
pub fn begin(path: &Path) -> io::Result<Aside> {
    if path.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a file name"));
    }
    let replaced = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder")),
        // To rename over a device would remove it.
        Ok(found) if !found.is_file() => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not an ordinary file"));
        }
        Ok(found) => Some(found.permissions()),
        Err(_) => None,
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    // Temporary files are private to their owner. A new file is as readable as the process's umask lets any other be;
    // one that replaces another stays private until it takes over the other's permissions.
    #[cfg(unix)]
    if replaced.is_none() {
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(Aside { file: builder.tempfile_in(folder).map_err(plain)?, target: path.to_owned(), replaced })
}

/// The system's own error, without the name of the file beside the target, which means nothing to the caller.
fn plain(error: io::Error) -> io::Error {
    let text = error.to_string();
    match text.split_once(" at path ") {
        Some((reason, _)) => io::Error::new(error.kind(), reason.to_owned()),
        None => error,
    }
}

impl Aside {
    /// Where the bytes lie until the file is finished: for a library that opens its output by name.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Brings the bytes to the disk and the file to its place. It has the permissions of the file it replaces, else
    /// those of any new file.
    ///
    /// # Errors
    /// When the disk does not take the bytes, or the place has been taken by a folder; what was there is untouched.
    pub fn finish(self) -> io::Result<()> {
        let Self { file, target, replaced } = self;
        if let Some(permissions) = replaced {
            file.as_file().set_permissions(permissions)?;
        }
        file.as_file().sync_all()?;
        file.persist(target).map(drop).map_err(|e| e.error)
    }
}

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

/// Writes a whole file: [`begin`], all bytes, [`Aside::finish`].
///
/// # Errors
/// As these; then what was at `path` is untouched and nothing else is left.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut aside = begin(path)?;
    aside.write_all(bytes)?;
    aside.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_file_appears_when_it_is_finished_and_never_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        let mut aside = begin(&path).unwrap();
        aside.write_all(b"half").unwrap();
        assert!(!path.exists() && fs::read(aside.path()).unwrap() == b"half");
        assert!(aside.path().file_name().unwrap().to_str().unwrap().starts_with(PREFIX));
        drop(aside);
        assert_eq!(count(folder.path()), 0);

        write(&path, b"one, and longer than two").unwrap();
        let mut aside = begin(&path).unwrap();
        aside.write_all(b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one, and longer than two");
        aside.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(count(folder.path()), 1);
    }

    #[test]
    fn what_cannot_be_written_is_refused_at_once_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |path: &Path| begin(path).unwrap_err().kind();
        assert_eq!(kind(&folder.path().join("absent/out.txt")), io::ErrorKind::NotFound);
        let error = begin(&folder.path().join("absent/out.txt")).unwrap_err().to_string();
        assert!(!error.contains(PREFIX) && error.contains("os error 2"), "{error}");
        assert_eq!(kind(folder.path()), io::ErrorKind::IsADirectory);
        assert_eq!(kind(Path::new("")), io::ErrorKind::InvalidInput);
        assert_eq!(kind(Path::new("..")), io::ErrorKind::InvalidInput);

        // The place is taken between beginning and end.
        let path = folder.path().join("taken");
        let aside = begin(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(aside.finish().is_err());
        assert!(path.is_dir());
        assert_eq!(count(folder.path()), 1);
    }

    #[test]
    fn the_longest_name_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n".repeat(255));
        write(&path, b"x").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_not_replaced_by_a_file() {
        assert_eq!(begin(Path::new("/dev/null")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_any_new_file_or_of_the_replaced_one() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let (usual, path) = (folder.path().join("usual"), folder.path().join("path"));
        fs::write(&usual, "").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(mode(&path), mode(&usual));
        // The second lets group and others write, which the usual umask takes from a new file; the third is read-only.
        for expected in [0o600, 0o666, 0o444] {
            fs::set_permissions(&path, Permissions::from_mode(expected)).unwrap();
            let aside = begin(&path).unwrap();
            assert_eq!(mode(aside.path()), 0o600, "private until it is finished");
            aside.finish().unwrap();
            assert_eq!(mode(&path), expected);
        }
    }
}
