//! `values/METHOD.jsonl`: a line for every image that is measured.

use crate::error::SearchError;
use crate::file::write_text;
use caf_file::Sha256Hash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What is known of a fused image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The pair.
    pub image: String,
    /// Hash of the contents of infrared, visible and fused image, in hexadecimal.
    pub files: String,
    /// Milliseconds to fuse the pair; none of images that were not made here.
    pub fuse_ms: Option<f64>,
    /// Whose definitions the values are.
    pub profile: String,
    /// Metrics by name; none where an image has no finite value.
    pub values: BTreeMap<String, Option<f64>>,
}

impl Row {
    /// Whether it holds these metrics.
    pub(super) fn has(&self, profile: &str, metrics: &[&str]) -> bool {
        self.profile == profile && metrics.iter().all(|name| self.values.contains_key(*name))
    }
}

/// The rows of a method.
#[derive(Debug)]
pub(super) struct Rows {
    path: PathBuf,
    file: File,
    known: BTreeMap<String, Row>,
}

impl Rows {
    /// Those of a file, which is made when it is not there. A line that a kill cut off is not there; of two of an image the last counts.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(super) fn open(path: &Path) -> Result<Self, SearchError> {
        let old = match std::fs::read(path) {
            // What was cut off may be cut within anything.
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(SearchError::io("read", path)(error)),
        };
        let rows = old.lines().filter_map(|line| serde_json::from_str::<Row>(line).ok());
        let known: BTreeMap<String, Row> = rows.map(|row| (row.image.clone(), row)).collect();
        let mut text = String::new();
        for row in known.values() {
            text += &line(row, path)?;
        }
        write_text(path, &text)?;
        let file = OpenOptions::new().append(true).open(path).map_err(SearchError::io("open", path))?;
        Ok(Rows { path: path.to_owned(), file, known })
    }

    /// The row of an image, as long as it is of these files.
    pub(super) fn of(&self, image: &str, files: &str) -> Option<&Row> {
        self.known.get(image).filter(|row| row.files == files)
    }

    /// Adds a row, on the disk first.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn add(&mut self, row: Row) -> Result<(), SearchError> {
        // One write for one row: a kill leaves at most a cut last line.
        let line = line(&row, &self.path)?;
        self.file.write_all(line.as_bytes()).map_err(SearchError::io("write", &self.path))?;
        self.known.insert(row.image.clone(), row);
        Ok(())
    }
}

fn line(row: &Row, path: &Path) -> Result<String, SearchError> {
    let json = serde_json::to_string(row);
    json.map(|text| text + "\n").map_err(|source| SearchError::Json { path: path.to_owned(), source })
}

/// What tells a fused image and its sources from all others.
///
/// # Errors
/// When one of them cannot be read.
pub(super) fn hash_of(files: [&Path; 3]) -> Result<String, SearchError> {
    let mut hashes = String::new();
    for path in files {
        hashes += &Sha256Hash::of_file(path).map_err(SearchError::io("read", path))?.to_string();
    }
    Ok(Sha256Hash::of(hashes.as_bytes()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(image: &str, files: &str, value: f64) -> Row {
        let values = BTreeMap::from([("EN".to_owned(), Some(value)), ("PSNR".to_owned(), None)]);
        Row {
            image: image.to_owned(),
            files: files.to_owned(),
            fuse_ms: Some(0.1 + 0.2),
            profile: "p".to_owned(),
            values,
        }
    }

    #[test]
    fn rows_come_back_bit_for_bit_and_belong_to_their_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        let mut rows = Rows::open(&path).unwrap();
        let (first, second) = (row("a,\"b\"", "1", 1.0 / 3.0), row("c", "2", 7.0));
        rows.add(first.clone()).unwrap();
        rows.add(second.clone()).unwrap();
        rows.add(row("c", "3", 8.0)).unwrap();
        let cut = std::fs::read_to_string(&path).unwrap() + "{\"image\":\"d\",\"fi";
        std::fs::write(&path, cut).unwrap();
        let mut rows = Rows::open(&path).unwrap();
        assert_eq!(rows.of("a,\"b\"", "1"), Some(&first));
        assert!(rows.of("a,\"b\"", "2").is_none() && rows.of("c", "2").is_none() && rows.of("d", "").is_none());
        assert_eq!(rows.of("c", "3").unwrap().values["EN"], Some(8.0));
        assert!(first.has("p", &["EN", "PSNR"]) && !first.has("q", &["EN"]) && !first.has("p", &["MI"]));
        rows.add(second).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    }
}
