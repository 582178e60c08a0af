//! A data set in the plain layout: `ROOT/ir/NAME.ext`, `ROOT/vi/NAME.ext`, and optionally `labels/NAME.txt`,
//! `ignore/NAME.txt`, `masks/NAME.png`, `classes.txt` and lists of names such as `train.txt`.
//!
//! The two halves of a pair have the same name and size; their extensions may differ. Opening reads folders, headers
//! and label files, checks everything and reports all that does not fit in one error; pixels are read by
//! [`Dataset::load`].

mod annotations;
mod folders;
mod name_list;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::color::{is_gray, luma};
use crate::error::{DataError, Offence};
use crate::image_file::{IrRange, image_size, read_ir, read_mask, read_vi};
use crate::label::Label;
use crate::raster::{Gray8, Plane, Rgb8};
pub use name_list::{ListedName, read_name_list, write_name_list};

/// Whether label files, or masks, must, may or shall not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Need {
    /// Every pair needs one (an empty label file says that nothing is there), and `classes.txt` must exist.
    Required,
    /// They are read where they exist.
    #[default]
    Optional,
    /// They are not looked at.
    Ignore,
}

/// How to open a data set.
#[derive(Debug, Clone)]
pub struct DatasetOptions {
    /// A file of names, one a line; only these pairs belong to the data set, in this order. A relative path is taken
    /// from the data set's root. Without a list all pairs belong to it, in the order of their names.
    pub list: Option<PathBuf>,
    /// What to do about label and ignore files.
    pub labels: Need,
    /// What to do about class masks. Whatever it is, a mask that exists must have the size of its pair.
    pub masks: Need,
    /// How 16-bit infrared values are mapped to \[0,1\].
    pub ir_range: IrRange,
}

impl Default for DatasetOptions {
    /// All pairs, with labels where they exist, without masks, infrared over its full range.
    fn default() -> Self {
        Self { list: None, labels: Need::Optional, masks: Need::Ignore, ir_range: IrRange::Full }
    }
}

/// One checked pair of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// File name without extension.
    pub name: String,
    /// The infrared file.
    pub ir: PathBuf,
    /// The visible file.
    pub vi: PathBuf,
    /// The class mask, when there is one; its size is that of the pair.
    pub mask: Option<PathBuf>,
    /// Columns of both images.
    pub width: usize,
    /// Rows of both images.
    pub height: usize,
    /// Objects; empty when the pair has no label file or labels are ignored.
    pub labels: Vec<Label>,
    /// Regions that are neither right nor wrong.
    pub ignore: Vec<Label>,
    /// Whether a label file was read, so that "no objects" can be told from "nobody looked".
    pub labelled: bool,
}

/// One pair with its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// File name without extension.
    pub name: String,
    /// Infrared in \[0,1\].
    pub ir: Plane,
    /// Visible, 8-bit RGB; a gray file is replicated to three channels.
    pub vi: Rgb8,
    /// Whether the visible image has no colour: three equal channels at every pixel, however it was stored.
    pub vi_is_gray: bool,
    /// Objects.
    pub labels: Vec<Label>,
    /// Regions that are neither right nor wrong: not to be trained on, detections there not counted.
    pub ignore: Vec<Label>,
    /// Class ids by pixel, of the size of the pair, [`crate::image_file::MASK_IGNORED`] where nothing is said; `None` where the
    /// pair has no mask or masks are ignored.
    pub mask: Option<Gray8>,
}

impl Sample {
    /// The visible luma in \[0,1\], see [`crate::color::luma_of`].
    #[must_use]
    pub fn vi_luma(&self) -> Plane {
        luma(&self.vi)
    }
}

/// A checked data set of at least one pair.
#[derive(Debug, Clone)]
pub struct Dataset {
    root: PathBuf,
    entries: Vec<Entry>,
    classes: Vec<String>,
    masks: Need,
    ir_range: IrRange,
}

impl Dataset {
    /// Opens and checks a data set. Reads headers and label files, no pixels.
    ///
    /// # Errors
    /// * [`DataError::NoFolder`] without `ROOT/ir` or `ROOT/vi`, [`DataError::Empty`] without any name;
    /// * [`DataError::Read`] for a list that cannot be read, [`DataError::Setting`] for a bad `ir_range`;
    /// * [`DataError::Offences`] with everything else that does not fit: missing halves, sizes, label lines with file
    ///   and line, class numbers without a name, doubled or unknown names, broken headers.
    pub fn open(root: &Path, options: &DatasetOptions) -> Result<Self, DataError> {
        options.ir_range.validate()?;
        let mut offences = Vec::new();
        let ir = folders::scan(&root.join("ir"), "infrared images", &mut offences)?;
        let vi = folders::scan(&root.join("vi"), "visible images", &mut offences)?;
        let pairs = match &options.list {
            Some(list) => {
                let pairs = name_list::listed_pairs(root, &root.join(list), &ir, &vi, &mut offences)?;
                folders::keep_listed(&pairs, &mut offences);
                pairs
            }
            None => folders::all_pairs(root, &ir, &vi, &mut offences)?,
        };
        let classes = annotations::read_classes(root, options.labels, &mut offences);
        let annotations = annotations::Annotations {
            root,
            need: options.labels,
            masks: options.masks,
            // Without names any class number is allowed; with a broken list of names it must not hide other offences.
            class_count: (!classes.is_empty()).then_some(classes.len()),
        };
        if options.list.is_none() {
            annotations.find_orphans(&ir, &vi, &mut offences)?;
        }
        // In parallel, since a large set lies on a slow disk; collected in order, so that the report is stable.
        let checked: Vec<(Option<Entry>, Vec<Offence>)> =
            pairs.into_par_iter().map(|pair| annotations.check(pair)).collect();
        let mut entries = Vec::with_capacity(checked.len());
        for (entry, found) in checked {
            entries.extend(entry);
            offences.extend(found);
        }
        if offences.is_empty() {
            Ok(Self { root: root.to_owned(), entries, classes, masks: options.masks, ir_range: options.ir_range })
        } else {
            Err(DataError::Offences { root: root.to_owned(), offences })
        }
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

    /// How 16-bit infrared values become \[0,1\].
    #[must_use]
    pub fn ir_range(&self) -> IrRange {
        self.ir_range
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
        Ok(Self { entries, root: self.root.clone(), classes: self.classes.clone(), ..*self })
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

    /// Class names by number; empty when there is no `classes.txt` or labels are ignored.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Reads the pixels of pair `index`. The `EXIF` orientation is ignored.
    ///
    /// # Errors
    /// [`DataError::Index`]; [`DataError::Read`], [`DataError::Decode`] or [`DataError::Truncated`] with the path;
    /// [`DataError::Changed`] when a file has another size than at opening.
    pub fn load(&self, index: usize) -> Result<Sample, DataError> {
        let entry = self.entries.get(index).ok_or(DataError::Index { index, len: self.len() })?;
        let ir = read_ir(&entry.ir, self.ir_range)?;
        let vi = read_vi(&entry.vi)?;
        let mask_path = entry.mask.as_ref().filter(|_| self.masks != Need::Ignore);
        let mask = mask_path.map(|path| read_mask(path)).transpose()?;
        let expected = (entry.width, entry.height);
        let mask_size = mask_path.zip(mask.as_ref().map(Gray8::size_wh));
        for (path, found) in [(&entry.ir, ir.size_wh()), (&entry.vi, vi.size_wh())].into_iter().chain(mask_size) {
            if found != expected {
                return Err(DataError::Changed { path: path.clone(), expected, found });
            }
        }
        Ok(Sample {
            name: entry.name.clone(),
            vi_is_gray: is_gray(&vi),
            ir,
            vi,
            labels: entry.labels.clone(),
            ignore: entry.ignore.clone(),
            mask,
        })
    }
}

/// The two files of a name, before they are checked.
#[derive(Debug, Clone)]
struct Pair {
    name: String,
    ir: PathBuf,
    vi: PathBuf,
}

impl annotations::Annotations<'_> {
    /// Checks one pair: headers, sizes, labels. `None` when an offence leaves no entry.
    fn check(&self, pair: Pair) -> (Option<Entry>, Vec<Offence>) {
        let mut offences = Vec::new();
        let mask = self.mask_of(&pair.name);
        let ir_size = header_size(&pair.ir, &mut offences);
        let vi_size = header_size(&pair.vi, &mut offences);
        let mask_size = mask.as_deref().and_then(|path| header_size(path, &mut offences));
        let mut compare = |second: &Path, second_size: Option<(usize, usize)>| {
            if let (Some(first_size), Some(second_size)) = (ir_size, second_size)
                && first_size != second_size
            {
                let (name, first, second) = (pair.name.clone(), pair.ir.clone(), second.to_owned());
                offences.push(Offence::SizeMismatch { name, first, first_size, second, second_size });
            }
        };
        compare(&pair.vi, vi_size);
        if let Some(path) = &mask {
            compare(path, mask_size);
        } else if self.masks == Need::Required {
            offences.push(Offence::MissingMask { name: pair.name.clone(), path: self.mask_path(&pair.name) });
        }
        let labels = self.read_labels(&pair.name, &mut offences);
        let ignore = self.read_ignore(&pair.name, &mut offences);
        let entry = ir_size.map(|(width, height)| Entry {
            name: pair.name,
            ir: pair.ir,
            vi: pair.vi,
            mask,
            width,
            height,
            labelled: labels.is_some(),
            labels: labels.unwrap_or_default(),
            ignore,
        });
        (entry, offences)
    }
}

fn header_size(path: &Path, offences: &mut Vec<Offence>) -> Option<(usize, usize)> {
    match image_size(path) {
        Ok(size) => Some(size),
        Err(error) => {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            offences.push(Offence::Header { path: path.to_owned(), cause });
            None
        }
    }
}
