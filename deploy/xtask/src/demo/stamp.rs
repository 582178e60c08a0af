//! Which steps are up to date: the same command, the same inputs, and all outputs in place.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result};
use caf_file::Sha256Hash;
use serde::{Deserialize, Serialize};

/// What is remembered of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// Hash of the command and of everything it reads.
    pub key: String,
    /// Whether the step came to its end; otherwise it was begun.
    pub is_complete: bool,
    /// Time the step took, in seconds.
    pub seconds: f64,
}

/// The stamps of one output folder.
#[derive(Debug)]
pub struct Stamps {
    folder: PathBuf,
}

impl Stamps {
    /// The stamps kept in `folder`, which is created.
    pub fn open(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// What is remembered of a step; an unreadable stamp counts as none, since the step can be done again.
    pub fn read(&self, step: &str) -> Option<Stamp> {
        serde_json::from_slice(&fs::read(self.path(step)).ok()?).ok()
    }

    /// Remembers a step.
    pub fn write(&self, step: &str, stamp: &Stamp) -> Result<()> {
        let path = self.path(step);
        let context = || format!("cannot write {}", path.display());
        let json = serde_json::to_vec(stamp).with_context(context)?;
        caf_file::write(&path, &json).with_context(context)
    }

    fn path(&self, step: &str) -> PathBuf {
        self.folder.join(format!("{step}.json"))
    }
}

/// Hash of a program's bytes.
///
/// # Errors
///
/// When it cannot be read.
pub fn fingerprint(program: &Path) -> Result<String> {
    let hash = Sha256Hash::of_file(program).with_context(|| format!("cannot read {}", program.display()))?;
    Ok(hash.to_string())
}

/// Hash of a command line, of its program's fingerprint and of everything it reads.
///
/// # Errors
///
/// When something that is read does not exist or cannot be read.
pub fn key(line: &str, program: &str, reads: &[PathBuf]) -> Result<String> {
    let mut bytes = [line, program].concat().into_bytes();
    for path in reads {
        add(&mut bytes, path).with_context(|| format!("cannot read the input {}", path.display()))?;
    }
    Ok(Sha256Hash::of(&bytes).to_string())
}

/// Adds a file or all files below a folder: name, length and time of change. Contents would take longer than the steps.
fn add(bytes: &mut Vec<u8>, path: &Path) -> std::io::Result<()> {
    let metadata = fs::metadata(path)?;
    bytes.extend(path.as_os_str().as_encoded_bytes());
    bytes.push(0);
    if metadata.is_dir() {
        let mut children = fs::read_dir(path)?.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
        children.sort();
        return children.iter().try_for_each(|child| add(bytes, child));
    }
    let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    bytes.extend(metadata.len().to_le_bytes());
    bytes.extend(changed.as_nanos().to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_follows_the_command_the_program_and_the_inputs() {
        let folder = tempfile::tempdir().unwrap();
        let (program, data) = (folder.path().join("program"), folder.path().join("data"));
        fs::write(&program, "one").unwrap();
        fs::create_dir(&data).unwrap();
        fs::write(data.join("a"), "1").unwrap();
        let make = |line: &str| key(line, &fingerprint(&program).unwrap(), std::slice::from_ref(&data)).unwrap();
        let first = make("search --fast");
        assert_eq!(first, make("search --fast"));
        assert_ne!(first, make("search --slow"));
        fs::write(data.join("b"), "22").unwrap();
        let with_file = make("search --fast");
        assert_ne!(first, with_file);
        fs::write(data.join("b"), "333").unwrap();
        assert_ne!(with_file, make("search --fast"));
        let before = make("search --fast");
        fs::write(&program, "two").unwrap();
        assert_ne!(before, make("search --fast"));
        assert!(key("search", "", &[folder.path().join("absent")]).is_err());
    }

    #[test]
    fn stamps_are_read_back_and_broken_ones_count_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let stamps = Stamps::open(folder.path().join("stamps")).unwrap();
        assert_eq!(stamps.read("scenes"), None);
        let stamp = Stamp { key: "k".to_owned(), is_complete: true, seconds: 1.5 };
        stamps.write("scenes", &stamp).unwrap();
        assert_eq!(stamps.read("scenes"), Some(stamp));
        fs::write(folder.path().join("stamps/scenes.json"), "{").unwrap();
        assert_eq!(stamps.read("scenes"), None);
    }
}
