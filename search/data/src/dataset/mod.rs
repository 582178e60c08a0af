//! A checked data set of any layout.
//!
//! The two halves of a pair have the same size. Opening reads folders, headers and label files, checks everything and reports all
//! that does not fit in one error; pixels are read by [`Dataset::load`].

mod check;
mod choose;
mod entry;
mod need;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use caf_image::color::is_gray;
use caf_image::folder::warn_if_swapped;
use caf_image::label::LabelNotes;
use caf_image::{IrRange, classes};
use rayon::prelude::*;

use crate::error::DataError;
use crate::layout::{self, Index, Infrared, Item};
use crate::offence::Offence;
use crate::sample::Sample;
use check::{Check, Checked};
pub use choose::require_list;
pub use entry::Entry;
pub use need::{DatasetOptions, Need};

/// A checked data set of at least one pair.
#[derive(Debug, Clone)]
pub struct Dataset {
    root: PathBuf,
    layout: &'static str,
    entries: Vec<Entry>,
    classes: Vec<String>,
    mask_classes: Vec<String>,
    notes: LabelNotes,
    masks: Need,
    ir_range: IrRange,
}

impl Dataset {
    /// Opens and checks a data set. Reads headers and label files, no pixels. What was set right in label files (repeated lines,
    /// boxes over the edge, outlines) is said once in the log, and counted in [`Dataset::notes`].
    ///
    /// # Errors
    /// * [`DataError::Layout`], [`DataError::UnknownLayout`] for a folder that is no data set of a known or of the named layout;
    /// * [`DataError::Empty`] without any name, [`DataError::NoList`] for a list that does not exist, [`DataError::Image`] for a
    ///   folder or list that cannot be read, [`DataError::IrRange`] for a bad `ir_range`;
    /// * [`DataError::Offences`] with everything else that does not fit: missing halves, sizes, label lines with file
    ///   and line, class numbers without a name, doubled or unknown names, broken headers.
    pub fn open(root: &Path, options: &DatasetOptions) -> Result<Self, DataError> {
        options.ir_range.validate()?;
        let (layout, mut index) = layout::open(root, options.layout.as_deref())?;
        if index.items.is_empty() && index.offences.is_empty() {
            return Err(DataError::Empty { path: root.to_owned(), expected: "pair of images" });
        }
        let class_names = class_names(&mut index, options.labels);
        let mut offences = Vec::new();
        let items: Vec<Item> = match &options.list {
            Some(list) => choose::listed(&mut index, root, list)?.into_iter().cloned().collect(),
            None => {
                offences.extend(index.orphans(options.labels != Need::Ignore)?);
                index.items.values().cloned().collect()
            }
        };
        offences.splice(0..0, std::mem::take(&mut index.offences));
        let without = |there: fn(&Item) -> bool| items.iter().filter(|item| !there(item)).count();
        if let (Need::Required, pairs @ 1..) = (options.labels, without(|item| item.labels.is_some())) {
            offences.push(Offence::NoLabels { layout: layout.name, pairs });
        }
        if let (Need::Required, pairs @ 1..) =
            (options.masks, without(|item| item.mask.is_some() || item.labels.is_some()))
        {
            offences.push(Offence::NoMasks { layout: layout.name, pairs });
        }
        let check = Check { labels: options.labels, masks: options.masks, classes: &class_names };
        // In parallel, since a large set lies on a slow disk; collected in order, so that the report is stable.
        let checked: Vec<Checked> = items.par_iter().map(|item| check.pair(item)).collect();
        let (mut entries, mut notes, mut noted) = (Vec::with_capacity(checked.len()), LabelNotes::default(), None);
        for pair in checked {
            entries.extend(pair.entry);
            offences.extend(pair.offences);
            notes.add(pair.notes);
            noted = noted.or(pair.noted);
        }
        if !offences.is_empty() {
            return Err(DataError::Offences { root: root.to_owned(), offences });
        }
        if let Some(first) = noted {
            tracing::warn!("{}: {notes}; the first in {}", root.display(), first.display());
        }
        if let Some(Item { ir: Infrared::File(ir), vi, .. }) = items.first() {
            warn_if_swapped(ir, vi);
        }
        let mut mask_classes = std::mem::take(&mut index.mask_classes);
        if mask_classes.is_empty() && entries.iter().any(Entry::is_outlined) {
            mask_classes = std::iter::once("background".to_owned()).chain(class_names.iter().cloned()).collect();
        }
        Ok(Self {
            root: root.to_owned(),
            layout: layout.name,
            entries,
            classes: class_names,
            mask_classes,
            notes,
            masks: options.masks,
            ir_range: options.ir_range,
        })
    }

    /// Pairs in the data set, at least 1.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Never true for an opened data set; here because `len` is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The folder it was opened from.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Name of the layout it was read by.
    #[must_use]
    pub fn layout(&self) -> &'static str {
        self.layout
    }

    /// How 16-bit infrared values become \[0,1\].
    #[must_use]
    pub fn ir_range(&self) -> IrRange {
        self.ir_range
    }

    /// What was set right in label files.
    #[must_use]
    pub fn notes(&self) -> LabelNotes {
        self.notes
    }

    /// The pairs of these names, in the order of the names. A name of no pair is passed over.
    ///
    /// # Errors
    /// [`DataError::Empty`] when no pair is left.
    pub fn part(&self, names: &[String]) -> Result<Self, DataError> {
        let by_name: HashMap<&str, &Entry> = self.entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
        let entries: Vec<Entry> =
            names.iter().filter_map(|name| by_name.get(name.as_str()).copied()).cloned().collect();
        if entries.is_empty() {
            return Err(DataError::Empty { path: self.root.clone(), expected: "pair of the wanted names" });
        }
        Ok(Self { entries, ..self.clone() })
    }

    /// The checked pairs, in the order of [`Dataset::load`]'s index.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The names of the pairs, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// Class names of boxes by number; empty when nobody names them or labels are ignored.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Class names of masks by id: the layout's, those of `mask_classes.txt`, or `background` and the classes of outlines; where
    /// there are none of these, [`Dataset::classes`].
    #[must_use]
    pub fn mask_classes(&self) -> &[String] {
        if self.mask_classes.is_empty() { &self.classes } else { &self.mask_classes }
    }

    /// Reads the pixels of pair `index`, upright; its mask unless masks are ignored.
    ///
    /// # Errors
    /// [`DataError::Index`]; [`DataError::Image`] with the path; [`DataError::Changed`] when a file has another size than at opening.
    pub fn load(&self, index: usize) -> Result<Sample, DataError> {
        let entry = self.entries.get(index).ok_or(DataError::Index { index, len: self.len() })?;
        let (ir, vi) = (entry.read_ir(self.ir_range)?, entry.read_vi()?);
        Ok(Sample {
            name: entry.name.clone(),
            vi_is_gray: is_gray(&vi),
            ir,
            vi,
            labels: entry.labels.clone(),
            ignore: entry.ignore.clone(),
            mask: if self.masks == Need::Ignore { None } else { entry.read_mask()? },
        })
    }
}

/// The class names of boxes: the layout's, or those of its file of names. Empty and doubled names are offences, and so is a file that
/// is not there where labels are required.
fn class_names(index: &mut Index, need: Need) -> Vec<String> {
    let Some(path) = index.classes_file.clone() else { return index.classes.clone() };
    if need == Need::Ignore {
        return Vec::new();
    }
    let names = match std::fs::read_to_string(&path) {
        Ok(text) => {
            let (names, problems) = classes::parse(&text);
            let bad =
                |p: classes::ClassProblem| Offence::ClassLine { path: path.clone(), line: p.line, found: p.found };
            index.offences.extend(problems.into_iter().map(bad));
            names
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            index.offences.push(Offence::Unreadable { path, cause: error.to_string() });
            return Vec::new();
        }
    };
    if names.is_empty() && need == Need::Required {
        index.offences.push(Offence::MissingClasses { path });
    }
    names
}
