//! What a data set holds, before a header or a label is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use caf_image::folder::{self, TwoFolders};

use crate::error::DataError;
use crate::offence::Offence;

/// Where the infrared half of a pair is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Infrared {
    /// A file of its own.
    File(PathBuf),
    /// The fourth channel of the file that holds the visible half.
    FourthChannel,
}

/// Where the boxes of a pair are, if the file exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boxes {
    /// A text of lines `class cx cy w h`.
    Yolo(PathBuf),
    /// XML of the PASCAL VOC challenge: names and pixel boxes.
    Voc(PathBuf),
}

impl Boxes {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Yolo(path) | Self::Voc(path) => path,
        }
    }
}

/// One pair: where everything about it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Name of the pair.
    pub name: String,
    /// The infrared half.
    pub ir: Infrared,
    /// The visible half.
    pub vi: PathBuf,
    /// Objects; `None` where the layout has none.
    pub labels: Option<Boxes>,
    /// Regions that are neither right nor wrong.
    pub ignore: Option<PathBuf>,
    /// Where the class mask is, if the file exists; `None` where the layout has none.
    pub mask: Option<PathBuf>,
}

/// A split of the publisher: a name, and the names of its pairs in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Name, such as `train`.
    pub name: String,
    /// The pairs.
    pub pairs: Vec<String>,
}

/// A folder of annotations: every file of this extension belongs to a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Annotated {
    pub folder: PathBuf,
    pub extension: &'static str,
    pub is_mask: bool,
    /// Names of the pairs that may have one.
    pub names: BTreeSet<String>,
}

/// What a data set holds.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// The pairs by name.
    pub items: BTreeMap<String, Item>,
    /// Class names of boxes by number.
    pub classes: Vec<String>,
    /// Class names of masks by id.
    pub mask_classes: Vec<String>,
    /// Where class names are looked for, when they are not part of the layout.
    pub classes_file: Option<PathBuf>,
    /// The publisher's splits.
    pub splits: Vec<Split>,
    /// What does not fit in the folders of images.
    pub offences: Vec<Offence>,
    /// Names with only one half; their offences are among [`Index::offences`].
    pub(crate) halves: BTreeSet<String>,
    pub(crate) annotated: Vec<Annotated>,
}

/// Two folders of images of the same names, and the folders of what is said about them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    pub ir: PathBuf,
    pub vi: PathBuf,
    pub yolo: Option<PathBuf>,
    pub voc: Option<PathBuf>,
    pub ignore: Option<PathBuf>,
    pub masks: Option<PathBuf>,
    /// The splits that all of its pairs are part of.
    pub splits: Vec<String>,
}

impl Index {
    pub(crate) fn with_classes(classes: &[&str], mask_classes: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self { classes: owned(classes), mask_classes: owned(mask_classes), ..Self::default() }
    }

    /// Adds the pairs of groups that have no name in common with one another, or else all under `SPLIT_NAME`: LLVIP and FMB number
    /// their training and test images independently of one another in some copies.
    pub(crate) fn add_groups(&mut self, groups: &[Group]) -> Result<(), DataError> {
        let mut opened = Vec::new();
        for group in groups {
            let mut problems = Vec::new();
            let two = TwoFolders::open(&group.ir, &group.vi, &mut problems)?;
            self.offences.extend(problems.into_iter().map(Offence::from));
            opened.push((group, two));
        }
        let mut seen = BTreeSet::new();
        let distinct = opened.iter().flat_map(|(_, two)| two.names()).all(|name| seen.insert(name.to_owned()));
        for (group, two) in &opened {
            let prefix =
                group.splits.first().filter(|_| !distinct).map_or_else(String::new, |split| format!("{split}_"));
            self.add(group, two, &prefix);
        }
        Ok(())
    }

    fn add(&mut self, group: &Group, two: &TwoFolders, prefix: &str) {
        let mut problems = Vec::new();
        let pairs = two.pairs(&mut problems);
        let whole: BTreeSet<&str> = pairs.iter().map(|pair| pair.name.as_str()).collect();
        self.halves.extend(two.names().filter(|name| !whole.contains(name)).map(|name| format!("{prefix}{name}")));
        self.offences.extend(problems.into_iter().map(Offence::from));
        // Not `with_extension`: a name may contain dots.
        let file = |folder: &Option<PathBuf>, name: &str, extension: &str| {
            folder.as_ref().map(|folder| folder.join(format!("{name}.{extension}")))
        };
        let mut members = Vec::new();
        for pair in &pairs {
            let name = format!("{prefix}{}", pair.name);
            let yolo = file(&group.yolo, &pair.name, "txt").map(Boxes::Yolo);
            let item = Item {
                name: name.clone(),
                ir: Infrared::File(pair.ir.clone()),
                vi: pair.vi.clone(),
                labels: yolo.or_else(|| file(&group.voc, &pair.name, "xml").map(Boxes::Voc)),
                ignore: file(&group.ignore, &pair.name, "txt"),
                mask: file(&group.masks, &pair.name, "png"),
            };
            members.push(name.clone());
            self.items.insert(name, item);
        }
        for name in &group.splits {
            match self.splits.iter_mut().find(|split| split.name == *name) {
                Some(split) => split.pairs.extend(members.iter().cloned()),
                None => self.splits.push(Split { name: name.clone(), pairs: members.clone() }),
            }
        }
        let annotations = [
            (&group.yolo, "txt", false),
            (&group.voc, "xml", false),
            (&group.ignore, "txt", false),
            (&group.masks, "png", true),
        ];
        for (folder, extension, is_mask) in annotations {
            let Some(folder) = folder else { continue };
            let names = two.names().map(str::to_owned);
            // Several groups may share one folder of annotations.
            match self.annotated.iter_mut().find(|a| a.folder == *folder && a.extension == extension) {
                Some(known) => known.names.extend(names),
                None => self.annotated.push(Annotated {
                    folder: folder.clone(),
                    extension,
                    is_mask,
                    names: names.collect(),
                }),
            }
        }
    }

    /// Annotation files whose name is that of no image, masks only unless `boxes`.
    pub(crate) fn orphans(&self, boxes: bool) -> Result<Vec<Offence>, DataError> {
        let mut offences = Vec::new();
        for annotated in self.annotated.iter().filter(|a| (boxes || a.is_mask) && a.folder.is_dir()) {
            let listing = folder::with_extension(&annotated.folder, annotated.extension)?;
            offences.extend(listing.problems.into_iter().map(Offence::from));
            for (name, path) in listing.files {
                // Labelling tools leave their own list of classes in this folder.
                if name != "classes" && !annotated.names.contains(&name) {
                    offences.push(Offence::Orphan { path });
                }
            }
        }
        Ok(offences)
    }

    /// Adds the lists of names that lie in the root as splits of their file's name.
    pub(crate) fn add_lists(&mut self, lists: impl IntoIterator<Item = PathBuf>) -> Result<(), DataError> {
        for path in lists {
            let names = caf_image::list::read_names(&path)?;
            let Some(name) = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()) else { continue };
            let resolved = names.iter().map(|l| caf_image::list::resolve(&l.name, |n| self.items.contains_key(n)));
            self.splits.push(Split { name, pairs: resolved.collect() });
        }
        Ok(())
    }
}
