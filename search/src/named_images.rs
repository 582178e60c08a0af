//! Images of a data set's pairs in a folder of their own, such as fused ones: found by the pairs' names.

use caf_data::image_file::{has_image_extension, image_size};
use caf_data::{DataError, Dataset};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

/// How many offenders a message spells out; the rest is counted.
const PRINTED_OFFENDERS: usize = 50;

/// Images that do not fit the data set; all of them.
#[derive(Debug, thiserror::Error)]
#[error("{}: {} problem(s) with the images of the data set{}", folder.display(), offenders.len(), listed(offenders))]
pub struct Misfits {
    /// Folder of the images.
    pub folder: PathBuf,
    /// One line each.
    pub offenders: Vec<String>,
}

/// The images of all pairs, `folder/NAME.ext` of a known extension, in the order of the data set. Headers are read, no pixels.
///
/// Every pair without an image, or with one that cannot be read or has another size, becomes an offender, and so do two images
/// of one name. Without any the result has one path for each pair.
///
/// # Errors
/// [`DataError::Read`] when the folder cannot be read.
pub(crate) fn images_of(
    dataset: &Dataset,
    folder: &Path,
    offenders: &mut Vec<String>,
) -> Result<Vec<PathBuf>, DataError> {
    let files = files_by_name(folder, offenders)?;
    let mut paths = Vec::with_capacity(dataset.len());
    for entry in dataset.entries() {
        match files.get(&entry.name) {
            Some(path) => {
                offenders.extend(misfit(path, (entry.width, entry.height)));
                paths.push(path.clone());
            }
            None => offenders.push(format!("{}: no image of this name in {}", entry.name, folder.display())),
        }
    }
    Ok(paths)
}

/// An error with its causes in one line.
pub(crate) fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn files_by_name(folder: &Path, offenders: &mut Vec<String>) -> Result<BTreeMap<String, PathBuf>, DataError> {
    let read = |source| DataError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        paths.push(entry.map_err(read)?.path());
    }
    paths.sort_unstable();
    let mut files = BTreeMap::new();
    for path in paths.into_iter().filter(|path| has_image_extension(path)) {
        let Some(name) = path.file_stem().and_then(|s| s.to_str()).map(str::to_owned) else { continue };
        if let Some(first) = files.insert(name.clone(), path.clone()) {
            offenders.push(format!("{name}: two files with this name, {} and {}", first.display(), path.display()));
        }
    }
    Ok(files)
}

fn misfit(path: &Path, expected: (usize, usize)) -> Option<String> {
    match image_size(path) {
        Ok(found) if found == expected => None,
        Ok((width, height)) => {
            let (w, h) = expected;
            Some(format!("{}: expected {w}x{h} as the pair, found {width}x{height}", path.display()))
        }
        Err(error) => Some(told(&error)),
    }
}

fn listed(offenders: &[String]) -> String {
    let mut text = String::new();
    for offender in offenders.iter().take(PRINTED_OFFENDERS) {
        text.push_str("\n  ");
        text.push_str(offender);
    }
    if let Some(more) = offenders.len().checked_sub(PRINTED_OFFENDERS).filter(|more| *more > 0) {
        text.push_str(&format!("\n  … and {more} more"));
    }
    text
}
