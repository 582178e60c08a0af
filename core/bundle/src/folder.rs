//! The folder as it lies on the disk: what is in it, and its files read once.

use crate::error::{BundleError, Fault, FileFault};
use crate::manifest::FileEntry;
use crate::{MANIFEST, SIGNATURE};
use caf_file::Sha256Hash;
use rustix::fs::OFlags;
use std::collections::BTreeSet;
use std::fs::{File, FileType};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// Most entries of the folder that are not listed and are looked at: the rest is no news.
const MOST_EXTRA: usize = 1000;

/// Opens an ordinary file, with its length. A link is not followed, and a pipe is not waited for.
///
/// # Errors
/// As the system; the inner error for what is no ordinary file.
pub fn open(path: &Path) -> io::Result<Result<(File, u64), FileFault>> {
    let kind = std::fs::symlink_metadata(path)?.file_type();
    if let Some(fault) = fault_of(kind) {
        return Ok(Err(fault));
    }
    // What was looked at may have been replaced meanwhile.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let mut options = File::options();
    let file = match options.read(true).custom_flags(flags.cast_signed()).open(path) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Ok(Err(FileFault::Link));
        }
        file => file?,
    };
    let metadata = file.metadata()?;
    Ok(match fault_of(metadata.file_type()) {
        Some(fault) => Err(fault),
        None => Ok((file, metadata.len())),
    })
}

/// Why something is no ordinary file.
fn fault_of(kind: FileType) -> Option<FileFault> {
    use std::os::unix::fs::FileTypeExt as _;
    let found = match kind {
        _ if kind.is_file() => return None,
        _ if kind.is_symlink() => return Some(FileFault::Link),
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Some(FileFault::NoFile { found })
}

/// Reads what an open file holds, at most `most` bytes and one more. The memory is asked for, not taken.
pub fn read(mut file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    let wanted = usize::try_from(most.saturating_add(1)).map_err(|_| io::ErrorKind::FileTooLarge)?;
    bytes.try_reserve_exact(wanted).map_err(|_| io::ErrorKind::OutOfMemory)?;
    (&mut file).take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What an open file of this size holds, read to where it stays: no second copy of a model.
fn whole(mut file: File, expected: u64) -> io::Result<Result<Arc<[u8]>, FileFault>> {
    let count = usize::try_from(expected).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, count).collect();
    // Nobody else has it yet.
    let read = Arc::get_mut(&mut bytes).map_or(Ok(()), |room| file.read_exact(room));
    let is_short = matches!(&read, Err(error) if error.kind() == io::ErrorKind::UnexpectedEof);
    if !is_short {
        read?;
    }
    // It may have grown or shrunk meanwhile.
    if is_short || file.read(&mut [0])? > 0 {
        return Ok(Err(FileFault::Size { expected, found: file.metadata()?.len() }));
    }
    Ok(Ok(bytes))
}

/// The bytes of a file that is as its entry says.
pub fn verified(folder: &Path, entry: &FileEntry) -> Result<Arc<[u8]>, FileFault> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => FileFault::Missing,
        _ => FileFault::Unreadable { reason: error.to_string() },
    };
    let (file, found) = open(&folder.join(entry.path.to_path())).map_err(unreadable)??;
    let expected = entry.bytes;
    if found != expected {
        return Err(FileFault::Size { expected, found });
    }
    let bytes = whole(file, expected).map_err(unreadable)??;
    let found = Sha256Hash::of(&bytes);
    if found == entry.sha256 { Ok(bytes) } else { Err(FileFault::Hash { expected: entry.sha256, found }) }
}

/// What is in the folder and not listed, links and what is no file wherever they are; folders that hold no listed file are not
/// entered.
///
/// # Errors
/// When a folder cannot be listed.
pub fn strangers(folder: &Path, files: &[FileEntry], signed: bool) -> Result<Vec<Fault>, BundleError> {
    let listed: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let folders: BTreeSet<&str> = files.iter().flat_map(|file| file.path.folders()).collect();
    let is_own = |name: &str| name == MANIFEST || (signed && name == SIGNATURE);
    let mut faults = vec![];
    let mut left = vec![String::new()];
    while let Some(inner) = left.pop() {
        let path = folder.join(&inner);
        let read = |source| BundleError::Read { path: path.clone(), source };
        for entry in std::fs::read_dir(&path).map_err(read)? {
            let entry = entry.map_err(read)?;
            let kind = entry.file_type().map_err(read)?;
            let last = entry.file_name().to_string_lossy().into_owned();
            let name = if inner.is_empty() { last } else { format!("{inner}/{last}") };
            if kind.is_dir() && folders.contains(name.as_str()) {
                left.push(name);
            } else if !listed.contains(name.as_str()) && !is_own(&name) {
                // A listed folder that is a link: its files are missing by that.
                let fault = if kind.is_symlink() && folders.contains(name.as_str()) {
                    FileFault::Link
                } else {
                    FileFault::Extra
                };
                faults.push(Fault { name, fault });
            }
            if faults.len() >= MOST_EXTRA {
                return Ok(faults);
            }
        }
    }
    Ok(faults)
}
