//! Which pairs of an index belong to a data set: all, those of a list, those of a split.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use caf_image::ImageProblem;
use caf_image::list::{ListedName, read_names, resolve};

use crate::error::DataError;
use crate::layout::{Index, Item};
use crate::offence::Offence;

/// The pairs of a list, in its order. Unknown and doubled names are offences; what was found in the folders about files that the list
/// does not name is no part of the data set and dropped.
pub(super) fn listed<'a>(index: &'a mut Index, root: &Path, list: &Path) -> Result<Vec<&'a Item>, DataError> {
    let path = root.join(list);
    let names = if path.is_file() { read_names(&path)? } else { split(index, list, &path)? };
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

/// The names of a split of the layout.
fn split(index: &Index, list: &Path, path: &Path) -> Result<Vec<ListedName>, DataError> {
    let wanted = list.to_string_lossy();
    if let Some(split) = index.splits.iter().find(|split| split.name == wanted) {
        if split.pairs.is_empty() {
            return Err(DataError::Empty { path: path.to_owned(), expected: "pair of the split" });
        }
        let numbered = split.pairs.iter().enumerate();
        return Ok(numbered.map(|(i, name)| ListedName { name: name.clone(), line: i + 1 }).collect());
    }
    let mut seen = HashSet::new();
    let names: Vec<&str> = index.splits.iter().map(|s| s.name.as_str()).filter(|name| seen.insert(*name)).collect();
    let splits = match names.as_slice() {
        [] => "this layout has no splits of its own".to_owned(),
        names => format!("the splits of this layout are {}", names.join(", ")),
    };
    Err(DataError::NoList { path: path.to_owned(), splits })
}
