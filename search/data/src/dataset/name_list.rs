//! Lists of names: one a line, with or without an image extension; `#` starts a comment, empty lines are skipped.

use std::collections::HashMap;
use std::path::Path;

use super::Pair;
use super::folders::{Folder, pair_of};
use crate::error::{DataError, Offence};
use crate::image_file::{has_image_extension, write_bytes};

/// A name and where it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedName {
    /// As written, without surrounding blanks.
    pub name: String,
    /// Line number, from 1.
    pub line: usize,
}

/// Reads a list of names as written; doubled names are kept.
///
/// # Errors
/// [`DataError::Read`] with the path, also for text that is not UTF-8; [`DataError::Empty`] for a list without names.
pub fn read_name_list(path: &Path) -> Result<Vec<ListedName>, DataError> {
    let text = std::fs::read_to_string(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let names: Vec<ListedName> = text
        .trim_start_matches('\u{feff}')
        .lines()
        .enumerate()
        .map(|(index, line)| {
            let name = line.split_once('#').map_or(line, |(before, _)| before).trim();
            ListedName { name: name.to_owned(), line: index + 1 }
        })
        .filter(|listed| !listed.name.is_empty())
        .collect();
    if names.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), expected: "name in the list" });
    }
    Ok(names)
}

/// Writes a list of names, one a line, aside first and then renamed. `comment` goes before them, each line behind `# `.
///
/// # Errors
/// [`DataError::Write`] with the path.
pub fn write_name_list<S: AsRef<str>>(path: &Path, comment: &str, names: &[S]) -> Result<(), DataError> {
    let comments = comment.lines().map(|line| format!("# {line}\n"));
    let text: String = comments.chain(names.iter().map(|name| format!("{}\n", name.as_ref()))).collect();
    write_bytes(path, text.as_bytes())
}

/// The pairs of a list in its order. Unknown and doubled names are offences.
pub(super) fn listed_pairs(
    root: &Path,
    list: &Path,
    ir: &Folder,
    vi: &Folder,
    offences: &mut Vec<Offence>,
) -> Result<Vec<Pair>, DataError> {
    let mut first_lines = HashMap::new();
    let mut pairs = Vec::new();
    for ListedName { name: written, line } in read_name_list(list)? {
        let name = resolve(&written, ir, vi);
        if let Some(&first_line) = first_lines.get(&name) {
            offences.push(Offence::ListedTwice { list: list.to_owned(), line, name: written, first_line });
            continue;
        }
        if !ir.contains_key(&name) && !vi.contains_key(&name) {
            offences.push(Offence::ListedMissing { list: list.to_owned(), line, name: written });
        } else if let Some(pair) = pair_of(root, &name, ir, vi, offences) {
            pairs.push(pair);
        }
        first_lines.insert(name, line);
    }
    Ok(pairs)
}

/// The name without extension that a listed name means. A name may itself contain dots, so it is looked up as written
/// first.
fn resolve(written: &str, ir: &Folder, vi: &Folder) -> String {
    let known = |name: &str| ir.contains_key(name) || vi.contains_key(name);
    let path = Path::new(written);
    if !known(written)
        && has_image_extension(path)
        && let Some(stem) = path.file_stem().and_then(|stem| stem.to_str())
        // A folder in front ("ir/NAME.png") is no name; it must not be dropped silently.
        && path.file_name().is_some_and(|file| file == written)
    {
        return stem.to_owned();
    }
    written.to_owned()
}
