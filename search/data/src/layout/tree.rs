//! A folder and what it holds, by exact names: `ir`, `Ir` and `IR` belong to different layouts, also where the disk does not tell
//! them apart.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use caf_image::ImageError;
use caf_image::folder::is_leftover;

use crate::error::DataError;

/// Entries that a message names; the rest is counted.
const NAMED: usize = 12;

/// A folder and the names in it.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
    folders: BTreeSet<String>,
    files: BTreeSet<String>,
}

impl Tree {
    /// Lists a folder. Left-overs of desktop systems, and the folder that their archives add, are passed over.
    ///
    /// # Errors
    /// [`DataError::NoFolder`] when there is none; [`ImageError::Read`] when it cannot be listed.
    pub fn of(root: &Path) -> Result<Self, DataError> {
        if !root.is_dir() {
            let found = if root.exists() { "a file" } else { "nothing" };
            return Err(DataError::NoFolder { path: root.to_owned(), found });
        }
        let read = |source| ImageError::Read { path: root.to_owned(), source };
        let mut tree = Self { root: root.to_owned(), folders: BTreeSet::new(), files: BTreeSet::new() };
        for entry in std::fs::read_dir(root).map_err(read)? {
            let entry = entry.map_err(read)?;
            let name = entry.file_name();
            if is_leftover(&name) || name == OsStr::new("__MACOSX") {
                continue;
            }
            let kind = if entry.path().is_dir() { &mut tree.folders } else { &mut tree.files };
            kind.insert(name.to_string_lossy().into_owned());
        }
        Ok(tree)
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path in it, from names separated by `/`.
    #[must_use]
    pub fn at(&self, path: &str) -> PathBuf {
        path.split('/').fold(self.root.clone(), |at, name| at.join(name))
    }

    /// Whether it holds a folder of exactly this name, or of these names separated by `/`.
    #[must_use]
    pub fn has_folder(&self, path: &str) -> bool {
        match path.split_once('/') {
            None => self.folders.contains(path),
            Some((first, rest)) => {
                self.folders.contains(first)
                    && Self::of(&self.root.join(first)).is_ok_and(|inner| inner.has_folder(rest))
            }
        }
    }

    /// Whether it holds all of these folders.
    #[must_use]
    pub fn has_folders(&self, paths: &[&str]) -> bool {
        paths.iter().all(|path| self.has_folder(path))
    }

    /// Names of its folders, in order.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.folders.iter().map(String::as_str)
    }

    /// Names of its files, in order.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// Whether it holds a file of exactly this name.
    #[must_use]
    pub fn has_file(&self, name: &str) -> bool {
        self.files.contains(name)
    }

    /// The only folder in it, when it holds one and no other.
    ///
    /// # Errors
    /// As [`Tree::of`].
    pub fn only_folder(&self) -> Result<Option<Self>, DataError> {
        let mut folders = self.folders();
        match (folders.next(), folders.next()) {
            (Some(name), None) => Self::of(&self.root.join(name)).map(Some),
            _ => Ok(None),
        }
    }

    /// What it holds, for messages.
    #[must_use]
    pub fn content(&self) -> String {
        let folders = self.folders.iter().map(|name| format!("{name}/"));
        let all: Vec<String> = folders.chain(self.files.iter().cloned()).collect();
        match all.len() {
            0 => "nothing".to_owned(),
            n if n > NAMED => {
                format!("{} and {} more", all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "), n - NAMED)
            }
            _ => all.join(", "),
        }
    }
}
