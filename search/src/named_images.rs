//! Images of a data set's pairs in a folder of their own, such as fused ones: found by the pairs' names.

use caf_data::Dataset;
use caf_geometry::Size;
use caf_image::{ImageError, folder, image_size};
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
/// [`ImageError::Read`] when the folder cannot be read.
pub(crate) fn images_of(
    dataset: &Dataset,
    folder: &Path,
    offenders: &mut Vec<String>,
) -> Result<Vec<PathBuf>, ImageError> {
    let listing = folder::images(folder)?;
    offenders.extend(listing.problems.iter().map(ToString::to_string));
    let files = listing.files;
    let mut paths = Vec::with_capacity(dataset.len());
    for entry in dataset.entries() {
        match files.get(&entry.name) {
            Some(path) => {
                offenders.extend(misfit(path, entry.size));
                paths.push(path.clone());
            }
            None => offenders.push(format!("{}: no image of this name in {}", entry.name, folder.display())),
        }
    }
    Ok(paths)
}

fn misfit(path: &Path, size: Size) -> Option<String> {
    match image_size(path) {
        Ok(found) if found == size => None,
        Ok(found) => Some(format!("{}: expected {size} as the pair, found {found}", path.display())),
        Err(error) => Some(caf_console::told(&error)),
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
