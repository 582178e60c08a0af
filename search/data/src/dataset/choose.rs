//! Which pairs of an index belong to a data set: all, those of a list, those of a split.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use caf_image::ImageProblem;
use caf_image::folder;
use caf_image::list::{ListedName, read_names, resolve};

use crate::error::DataError;
use crate::layout::{self, Index, Item};
use crate::offence::Offence;

/// The pairs of a list, in its order. Unknown and doubled names are offences; what was found in the folders about files that the list
/// does not name is no part of the data set and dropped.
pub(super) fn listed<'a>(index: &'a mut Index, root: &Path, list: &Path) -> Result<Vec<&'a Item>, DataError> {
    let path = root.join(list);
    let names = if path.is_file() { read_names(&path)? } else { split(index, root, list, &path)? };
    let mut first_lines = HashMap::new();
    let mut chosen = Vec::new();
    let mut offences = Vec::new();
    for ListedName { name: written, line } in names {
        let name = resolve(&written, |name| index.items.contains_key(name) || index.halves.contains(name));
        if let Some(&first_line) = first_lines.get(&name) {
            offences.push(Offence::ListedTwice { list: path.clone(), line, name: written, first_line });
            continue;
        }
        if index.items.contains_key(&name) {
            chosen.push(name.clone());
        } else if !index.halves.contains(&name) {
            offences.push(Offence::ListedMissing { list: path.clone(), line, name: written });
        }
        first_lines.insert(name, line);
    }
    index.offences.retain(|offence| match offence {
        Offence::Image(ImageProblem::SameName { name, .. } | ImageProblem::MissingHalf { name, .. }) => {
            // Names of several folders carry the folder's before their own.
            first_lines.keys().any(|listed| listed == name || listed.ends_with(&format!("_{name}")))
        }
        Offence::Image(_) => false,
        _ => true,
    });
    index.offences.splice(0..0, offences);
    let items = &index.items;
    Ok(chosen.iter().filter_map(|name| items.get(name)).collect())
}

/// Refuses a list that is neither a file below `root` nor a split of its layout.
///
/// # Errors
/// [`DataError::NoList`] with the lists that there are; where the folder cannot be opened as a data set, why not.
pub fn require_list(root: &Path, layout: Option<&str>, list: &Path) -> Result<(), DataError> {
    let path = root.join(list);
    if path.is_file() {
        return Ok(());
    }
    let (_, index) = layout::open(root, layout)?;
    if index.splits.iter().any(|split| split.name == list.to_string_lossy()) {
        return Ok(());
    }
    Err(DataError::NoList { path, there: lists(&index, root) })
}

/// The lists of a data set in words: text files that may be some, and the layout's splits.
fn lists(index: &Index, root: &Path) -> String {
    let texts = folder::with_extension(root, "txt").map(|listing| listing.files).unwrap_or_default();
    let no_list =
        |path: &Path| path.file_name().is_some_and(|name| name == "classes.txt" || name == "mask_classes.txt");
    let files: Vec<_> = texts.values().filter(|path| !no_list(path)).filter_map(|path| path.file_name()).collect();
    let files: Vec<_> = files.iter().map(|name| name.to_string_lossy()).collect();
    let mut seen = HashSet::new();
    let splits: Vec<&str> = index.splits.iter().map(|s| s.name.as_str()).filter(|name| seen.insert(*name)).collect();
    match (files.as_slice(), splits.as_slice()) {
        ([], []) => "the data set has no lists and its layout no splits".to_owned(),
        (files, []) => format!("there are {}", files.join(", ")),
        ([], splits) => format!("the splits of this layout are {}", splits.join(", ")),
        (files, splits) => {
            format!("there are {}; the splits of this layout are {}", files.join(", "), splits.join(", "))
        }
    }
}

/// The names of a split of the layout.
fn split(index: &Index, root: &Path, list: &Path, path: &Path) -> Result<Vec<ListedName>, DataError> {
    let wanted = list.to_string_lossy();
    if let Some(split) = index.splits.iter().find(|split| split.name == wanted) {
        if split.pairs.is_empty() {
            return Err(DataError::Empty { path: path.to_owned(), expected: "pair of the split" });
        }
        let numbered = split.pairs.iter().enumerate();
        return Ok(numbered.map(|(i, name)| ListedName { name: name.clone(), line: i + 1 }).collect());
    }
    Err(DataError::NoList { path: path.to_owned(), there: lists(index, root) })
}
