//! Folders of files that belong together by name.

use std::collections::BTreeMap;
use std::path::Path;

use caf_image::ImageError;
use caf_image::folder::{self, Files, Listing};
use caf_image::list::{ListedName, read_names, resolve};

use crate::failure::{Failure, Offence, Reason};

/// The images of a folder by their name without extension. What does not belong there is an offence, as in every program.
pub fn images(folder: &Path, offences: &mut Vec<Offence>) -> Result<Files, Failure> {
    Ok(told(folder::images(folder)?, offences))
}

/// The label or prediction files of a folder by their name without extension.
pub fn texts(folder: &Path, offences: &mut Vec<Offence>) -> Result<Files, Failure> {
    Ok(told(folder::with_extension(folder, "txt")?, offences))
}

fn told(listing: Listing, offences: &mut Vec<Offence>) -> Files {
    offences.extend(listing.problems.into_iter().map(|problem| Offence::of("", problem.into())));
    listing.files
}

/// The names that are measured: those of a list, or all that have labels. Without a list every prediction must have its labels: a
/// misspelt folder would otherwise look like a score of 0.
pub fn evaluated(
    list: Option<&Path>,
    labels: &Files,
    predictions: &Files,
    offences: &mut Vec<Offence>,
) -> Result<Vec<String>, Failure> {
    if let Some(list) = list {
        return names(list, |name| labels.contains_key(name), offences);
    }
    let stray = predictions.iter().filter(|(name, _)| !labels.contains_key(*name));
    offences.extend(stray.map(|(_, path)| Offence::of(path, Reason::NotEvaluated)));
    Ok(labels.keys().cloned().collect())
}

/// The names of a list file, one a line, with or without an image's extension; `known` are names there are. A name that is listed
/// twice is an offence.
pub fn names(list: &Path, known: impl Fn(&str) -> bool, offences: &mut Vec<Offence>) -> Result<Vec<String>, Failure> {
    let mut first_lines = BTreeMap::new();
    let mut names = Vec::new();
    for ListedName { name, line } in read_names(list)? {
        let name = resolve(&name, &known);
        match first_lines.get(&name) {
            Some(&first_line) => {
                let (place, line, reason) = (list.to_owned(), Some(line), Reason::ListedTwice { name, first_line });
                offences.push(Offence { place, line, reason });
            }
            None => {
                first_lines.insert(name.clone(), line);
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// The names of classes, one a line, as every program reads them.
pub fn class_names(path: &Path, offences: &mut Vec<Offence>) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|source| ImageError::Read { path: path.to_owned(), source })?;
    let (names, problems) = caf_image::classes::parse(&text);
    offences.extend(problems.into_iter().map(|problem| {
        let (expected, found) = ("a class name of its own".to_owned(), format!("{:?}", problem.found));
        Offence { place: path.to_owned(), line: Some(problem.line), reason: Reason::Line { expected, found } }
    }));
    if names.is_empty() {
        return Err(Failure::Empty { option: "--classes", path: path.to_owned(), expected: "one class a line" });
    }
    Ok(names)
}
