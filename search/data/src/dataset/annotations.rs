//! What stands beside the images: class names, label and ignore files, masks.

use std::path::{Path, PathBuf};

use super::Need;
use super::folders::{Folder, files};
use crate::error::{DataError, Offence};
use crate::label::{Label, parse_labels};

/// Reads `ROOT/classes.txt`: one name a line; empty and doubled names are offences, empty lines at the end are not.
pub(super) fn read_classes(root: &Path, need: Need, offences: &mut Vec<Offence>) -> Vec<String> {
    if need == Need::Ignore {
        return Vec::new();
    }
    let path = root.join("classes.txt");
    let Some(text) = read_text(&path, offences) else {
        if need == Need::Required && !path.exists() {
            offences.push(Offence::MissingClasses { path });
        }
        return Vec::new();
    };
    let mut classes: Vec<String> = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').trim_end().lines().enumerate() {
        let class = line.trim().to_owned();
        if class.is_empty() || classes.contains(&class) {
            offences.push(Offence::ClassLine { path: path.clone(), line: index + 1, found: class.clone() });
        }
        classes.push(class);
    }
    if classes.is_empty() && need == Need::Required {
        offences.push(Offence::MissingClasses { path });
    }
    classes
}

/// Where the annotation files of a data set are and how strictly they are read.
pub(super) struct Annotations<'a> {
    pub(super) root: &'a Path,
    pub(super) need: Need,
    pub(super) masks: Need,
    /// Number of class names; `None` leaves class numbers unchecked.
    pub(super) class_count: Option<usize>,
}

impl Annotations<'_> {
    /// The labels of a pair; `None` when it has no label file or labels are ignored.
    pub(super) fn read_labels(&self, name: &str, offences: &mut Vec<Offence>) -> Option<Vec<Label>> {
        if self.need == Need::Ignore {
            return None;
        }
        let path = self.file("labels", name, "txt");
        let labels = self.read_boxes(&path, offences);
        if labels.is_none() && self.need == Need::Required && !path.exists() {
            offences.push(Offence::MissingLabels { name: name.to_owned(), path });
        }
        labels
    }

    /// The ignore regions of a pair; none when there is no such file or labels are ignored.
    pub(super) fn read_ignore(&self, name: &str, offences: &mut Vec<Offence>) -> Vec<Label> {
        if self.need == Need::Ignore {
            return Vec::new();
        }
        self.read_boxes(&self.file("ignore", name, "txt"), offences).unwrap_or_default()
    }

    fn read_boxes(&self, path: &Path, offences: &mut Vec<Offence>) -> Option<Vec<Label>> {
        let text = read_text(path, offences)?;
        Some(parse_labels(&text, path, self.class_count, offences))
    }

    /// The mask file of a pair, when it exists.
    pub(super) fn mask_of(&self, name: &str) -> Option<PathBuf> {
        Some(self.mask_path(name)).filter(|path| path.is_file())
    }

    /// Where the mask file of a pair is looked for.
    pub(super) fn mask_path(&self, name: &str) -> PathBuf {
        self.file("masks", name, "png")
    }

    /// Annotation files whose name is that of no image.
    pub(super) fn find_orphans(&self, ir: &Folder, vi: &Folder, offences: &mut Vec<Offence>) -> Result<(), DataError> {
        let folders: &[(&str, &str)] = match self.need {
            Need::Ignore => &[("masks", "png")],
            _ => &[("labels", "txt"), ("ignore", "txt"), ("masks", "png")],
        };
        for (folder, extension) in folders {
            for path in files(&self.root.join(folder))?.unwrap_or_default() {
                let kind = path.extension().is_some_and(|e| e == *extension);
                let stem = path.file_stem().and_then(|s| s.to_str());
                // Labelling tools leave their own list of classes in this folder.
                if kind
                    && stem != Some("classes")
                    && !stem.is_some_and(|stem| ir.contains_key(stem) || vi.contains_key(stem))
                {
                    offences.push(Offence::Orphan { path });
                }
            }
        }
        Ok(())
    }

    fn file(&self, folder: &str, name: &str, extension: &str) -> PathBuf {
        // Not `with_extension`: a name may contain dots.
        self.root.join(folder).join(format!("{name}.{extension}"))
    }
}

/// The text of a file; `None` when it does not exist, `None` and an offence when it cannot be read.
fn read_text(path: &Path, offences: &mut Vec<Offence>) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            offences.push(Offence::Unreadable { path: path.to_owned(), cause: error.to_string() });
            None
        }
    }
}
