//! Folders of files that belong together by name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Offence, Reason};

/// Extensions of image files, in lower case.
pub const IMAGES: &[&str] = &["png", "jpg", "jpeg", "bmp", "tif", "tiff"];
/// Extension of label and prediction files.
pub const TEXTS: &[&str] = &["txt"];

/// The files of a folder with one of `extensions`, by their name without it. Two files of one name are an offence.
pub fn by_name(
    folder: &Path,
    extensions: &[&str],
    offences: &mut Vec<Offence>,
) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let read = |source| Failure::Read { path: folder.to_owned(), source };
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let wanted = path
            .extension()
            .and_then(|e| e.to_str())
            .is_some_and(|e| extensions.contains(&e.to_ascii_lowercase().as_str()));
        let Some(name) = path.file_stem().and_then(|n| n.to_str()).filter(|_| wanted && path.is_file()) else {
            continue;
        };
        if let Some(other) = files.insert(name.to_owned(), path.clone()) {
            offences.push(Offence::of(path, Reason::Twice { other }));
        }
    }
    Ok(files)
}

/// The names of a list file, one a line, with or without an image's extension; empty lines and lines from `#` are skipped,
/// and a name given twice counts once.
pub fn names(list: &Path) -> Result<Vec<String>, Failure> {
    let read = |source| Failure::Read { path: list.to_owned(), source };
    let text = std::fs::read_to_string(list).map_err(read)?;
    let mut seen = BTreeSet::new();
    let names: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| match line.rsplit_once('.') {
            Some((stem, extension)) if IMAGES.contains(&extension.to_ascii_lowercase().as_str()) => stem.to_owned(),
            _ => line.to_owned(),
        })
        .filter(|name| seen.insert(name.clone()))
        .collect();
    if names.is_empty() {
        return Err(Failure::Empty { option: "--names", path: list.to_owned(), expected: "one name a line" });
    }
    Ok(names)
}

/// The names of classes, one a line.
pub fn class_names(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|source| Failure::Read { path: path.to_owned(), source })?;
    let names: Vec<String> = text.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect();
    if names.is_empty() {
        return Err(Failure::Empty { option: "--classes", path: path.to_owned(), expected: "one class a line" });
    }
    Ok(names)
}
