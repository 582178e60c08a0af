//! Names of files within a bundle.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Longest name in bytes, folders included.
const MOST_BYTES: usize = 200;
/// Most folders and files that a name goes through.
const MOST_PARTS: usize = 4;

/// Where a file lies, relative to the bundle: parts of `A–Z a–z 0–9 . _ -` parted by `/`, none of them beginning with a dot.
///
/// So few characters, because a name must mean the same on every system: nothing that one of them takes for a folder, a drive or
/// another form of the same letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileName(String);

/// Why a text is no name of a file within a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// It begins at the root of the system.
    #[error("is absolute")]
    Absolute,
    /// It has a part `.` or `..`.
    #[error("leaves the folder or has a detour (`.`, `..`)")]
    Detour,
    /// It, or a part of it, is empty.
    #[error("is empty, or has an empty part")]
    Empty,
    /// A part begins with a dot.
    #[error("is hidden: a part begins with a dot")]
    Hidden,
    /// It has a character of another kind.
    #[error("has the character {0:?}; expected A-Z a-z 0-9 . _ - and / between parts")]
    Character(char),
    /// It is too long.
    #[error("is too long; expected at most {MOST_BYTES} bytes and {MOST_PARTS} parts")]
    Long,
}

impl FileName {
    /// From a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: impl Into<String>) -> Result<Self, NameFault> {
        let text = text.into();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        if text.starts_with('/') {
            return Err(NameFault::Absolute);
        }
        if let Some(other) = text.chars().find(|c| !allowed(*c)) {
            return Err(NameFault::Character(other));
        }
        for part in text.split('/') {
            match part {
                "" => return Err(NameFault::Empty),
                "." | ".." => return Err(NameFault::Detour),
                _ if part.starts_with('.') => return Err(NameFault::Hidden),
                _ => {}
            }
        }
        if text.len() > MOST_BYTES || text.split('/').count() > MOST_PARTS {
            return Err(NameFault::Long);
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its folders, outermost first: `a`, `a/b` of `a/b/c`.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| self.0.split_at(at).0)
    }

    /// The last part.
    #[must_use]
    pub fn last(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// A file beside it.
    ///
    /// # Errors
    /// When that is no name.
    pub fn beside(&self, last: &str) -> Result<Self, NameFault> {
        let folder = self.0.strip_suffix(self.last()).unwrap_or_default();
        Self::new(format!("{folder}{last}"))
    }

    /// As a path relative to the bundle.
    #[must_use]
    pub fn to_path(&self) -> PathBuf {
        self.0.split('/').collect()
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FileName {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for FileName {
    type Error = NameFault;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_the_folder() {
        for good in ["a", "model.fp32.onnx", "provenance/beta.toml", "a..b", "A-b_c/0"] {
            assert_eq!(FileName::new(good).unwrap().as_str(), good);
        }
        for (wrong, fault) in [
            ("", NameFault::Empty),
            ("a//b", NameFault::Empty),
            ("a/", NameFault::Empty),
            ("/etc/passwd", NameFault::Absolute),
            ("..", NameFault::Detour),
            ("a/../../b", NameFault::Detour),
            ("./a", NameFault::Detour),
            (".hidden", NameFault::Hidden),
            ("a/.b", NameFault::Hidden),
            ("a\\..\\b", NameFault::Character('\\')),
            ("C:x", NameFault::Character(':')),
            ("a b", NameFault::Character(' ')),
            ("a\0", NameFault::Character('\0')),
            ("é", NameFault::Character('é')),
            ("a/b/c/d/e", NameFault::Long),
        ] {
            assert_eq!(FileName::new(wrong).unwrap_err(), fault, "{wrong}");
        }
        assert_eq!(FileName::new("n".repeat(201)).unwrap_err(), NameFault::Long);
    }

    #[test]
    fn folders_and_neighbours() {
        let name = FileName::new("a/b/c").unwrap();
        assert_eq!(name.folders().collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!((name.last(), name.beside("d").unwrap().as_str()), ("c", "a/b/d"));
        assert_eq!(FileName::new("c").unwrap().beside("d").unwrap().as_str(), "d");
        assert!(name.beside("../d").is_err());
    }
}
