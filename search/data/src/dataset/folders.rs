//! Image folders by name, and the pairs that two of them form.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Pair;
use crate::error::{DataError, Offence};
use crate::image_file::has_image_extension;

/// Files of a folder by their name without extension, ordered.
pub(super) type Folder = BTreeMap<String, PathBuf>;

/// The image files of a folder. Hidden files, and those that desktop systems leave behind, are passed over; any other
/// file that is no image becomes an offence, since it may be half of a pair in a format that is not read.
pub(super) fn scan(path: &Path, expected: &'static str, offences: &mut Vec<Offence>) -> Result<Folder, DataError> {
    let mut folder = Folder::new();
    for file in files(path)?.ok_or_else(|| DataError::NoFolder { path: path.to_owned(), expected })? {
        if !has_image_extension(&file) {
            offences.push(Offence::NotAnImage { path: file });
            continue;
        }
        let Some(name) = file.file_stem().and_then(|s| s.to_str()).map(str::to_owned) else {
            offences.push(Offence::NotUtf8 { path: file });
            continue;
        };
        if let Some(first) = folder.get(&name) {
            offences.push(Offence::DuplicateName { name, first: first.clone(), second: file });
        } else {
            folder.insert(name, file);
        }
    }
    Ok(folder)
}

/// Ordered paths of the plain files of a folder; `None` when it does not exist.
pub(super) fn files(path: &Path) -> Result<Option<Vec<PathBuf>>, DataError> {
    if !path.is_dir() {
        return Ok(None);
    }
    let read = |source| DataError::Read { path: path.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(read)? {
        let file = entry.map_err(read)?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if file.is_file() && !name.starts_with('.') && name != "Thumbs.db" && name != "desktop.ini" {
            files.push(file);
        }
    }
    files.sort_unstable();
    Ok(Some(files))
}

/// All names of both folders as pairs; a name in only one of them is an offence.
pub(super) fn all_pairs(
    root: &Path,
    ir: &Folder,
    vi: &Folder,
    offences: &mut Vec<Offence>,
) -> Result<Vec<Pair>, DataError> {
    if ir.is_empty() && vi.is_empty() && offences.is_empty() {
        return Err(DataError::Empty { path: root.to_owned(), expected: "pair of images in ir and vi" });
    }
    let mut names: Vec<&String> = ir.keys().chain(vi.keys()).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names.into_iter().filter_map(|name| pair_of(root, name, ir, vi, offences)).collect())
}

/// The pair of a name; an offence and `None` when one half is missing, only `None` when both are.
pub(super) fn pair_of(root: &Path, name: &str, ir: &Folder, vi: &Folder, offences: &mut Vec<Offence>) -> Option<Pair> {
    let (found, folder) = match (ir.get(name), vi.get(name)) {
        (Some(ir), Some(vi)) => return Some(Pair { name: name.to_owned(), ir: ir.clone(), vi: vi.clone() }),
        (Some(ir), None) => (ir.clone(), root.join("vi")),
        (None, Some(vi)) => (vi.clone(), root.join("ir")),
        (None, None) => return None,
    };
    offences.push(Offence::MissingHalf { name: name.to_owned(), found, folder });
    None
}

/// Drops what [`scan`] found about files that a list does not name: they are not part of the data set.
pub(super) fn keep_listed(pairs: &[Pair], offences: &mut Vec<Offence>) {
    offences.retain(|offence| match offence {
        Offence::NotAnImage { .. } | Offence::NotUtf8 { .. } => false,
        Offence::DuplicateName { name, .. } => pairs.iter().any(|pair| pair.name == *name),
        _ => true,
    });
}
