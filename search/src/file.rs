//! Text files: read with the path in the error, written aside and renamed.

use crate::error::SearchError;
use crate::toml_words::words_of;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Writes `text` so that `path` holds either its old content or all of the new.
///
/// # Errors
/// [`SearchError::Io`] with the path.
pub fn write_text(path: &Path, text: &str) -> Result<(), SearchError> {
    caf_file::write(path, text.as_bytes()).map_err(SearchError::io("write", path))
}

/// Makes a folder and its parents.
///
/// # Errors
/// [`SearchError::Io`] with the path.
pub fn make_folder(path: &Path) -> Result<(), SearchError> {
    std::fs::create_dir_all(path).map_err(SearchError::io("create folder", path))
}

/// Reads a TOML file into a configuration; unknown keys are the type's business to refuse.
///
/// # Errors
/// [`SearchError::Io`]; [`SearchError::Kind`] for a file that is no text; [`SearchError::Config`] with path, line and column.
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, SearchError> {
    let bytes = std::fs::read(path).map_err(SearchError::io("read", path))?;
    let no_text = |_| SearchError::Kind {
        path: path.to_owned(),
        expected: "a text in TOML".to_owned(),
        found: "a file of another kind".to_owned(),
    };
    let text = String::from_utf8(bytes).map_err(no_text)?;
    toml::from_str(&text).map_err(|e| SearchError::Config { path: path.to_owned(), message: words_of(&e, &text) })
}

/// Writes a configuration or result as TOML.
///
/// # Errors
/// [`SearchError::Io`] or [`SearchError::Config`].
pub fn write_toml<T: Serialize>(path: &Path, value: &T) -> Result<(), SearchError> {
    let text = toml::to_string_pretty(value)
        .map_err(|e| SearchError::Config { path: path.to_owned(), message: e.to_string() })?;
    write_text(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write_text(&path, "old").unwrap();
        let missing = dir.path().join("no/such/folder/a.txt");
        let error = write_text(&missing, "new").unwrap_err().to_string();
        assert!(error.contains("no/such/folder"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    }

    #[test]
    fn a_file_that_is_no_text_is_told_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fusion.safetensors");
        std::fs::write(&path, [8, 0, 0, 0, 0, 0, 0, 0, 0xff]).unwrap();
        let error = read_toml::<toml::Table>(&path).unwrap_err().to_string();
        assert!(error.contains("fusion.safetensors") && error.contains("expected a text in TOML"), "{error}");
    }

    #[test]
    fn a_wrong_toml_is_refused_with_its_line() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct T {
            #[allow(dead_code)]
            a: u32,
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        write_text(&path, "a = 1\nb = 2\n").unwrap();
        let error = read_toml::<T>(&path).unwrap_err().to_string();
        assert!(error.contains("c.toml") && error.contains("line 2") && error.contains("`b`"), "{error}");
    }
}
