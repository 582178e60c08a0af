//! What samples are labelled with, mapped by the views that their pixels are seen through.

use crate::error::SearchError;
use caf_data::Entry;
use caf_data::view::{CutRule, View};
use caf_data::{Dataset, DatasetOptions, Need};
use caf_geometry::Size;
use caf_image::{Gray8, IrRange, Label};
use caf_image::{IGNORED_LABEL, ImageError};
use rand::Rng;
use std::path::{Path, PathBuf};

/// What a task learns from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Annotation {
    /// Labelled boxes.
    Boxes,
    /// Class masks. Boxes are read where they are, for crops that are placed on objects.
    Masks,
}

impl Annotation {
    /// How a data set is opened for it: what every pair must have.
    pub fn options(self, list: Option<PathBuf>, ir_range: IrRange, layout: Option<String>) -> DatasetOptions {
        let (labels, masks) = match self {
            Annotation::Boxes => (Need::Required, Need::Ignore),
            Annotation::Masks => (Need::Optional, Need::Required),
        };
        DatasetOptions { list, labels, masks, ir_range, layout }
    }

    /// Whether the class of every pixel is read with an image.
    pub(super) fn needs_mask(self) -> bool {
        self == Annotation::Masks
    }

    /// Names of its classes by number; those of masks usually have the background before them, which boxes have not.
    #[must_use]
    pub fn classes(self, pairs: &Dataset) -> &[String] {
        match self {
            Annotation::Boxes => pairs.classes(),
            Annotation::Masks => pairs.mask_classes(),
        }
    }

    /// What is said of a data set that names no classes.
    pub(super) fn no_classes(self) -> &'static str {
        match self {
            Annotation::Boxes => {
                "no class names: write classes.txt beside ir and vi, a name a line in the order of the numbers"
            }
            Annotation::Masks => {
                "no class names: write mask_classes.txt beside ir and vi, a name a line in the order of the masks' values; the \
                 first is value 0, usually the background"
            }
        }
    }

    /// What a pair lacks that cannot be trained or measured on.
    pub(super) fn missing(self, entry: &Entry) -> Option<&'static str> {
        match self {
            Annotation::Boxes => (!entry.labelled).then_some("no label file"),
            Annotation::Masks => (!entry.has_mask()).then_some("no class mask"),
        }
    }

    /// Refuses pairs of which none shows anything.
    ///
    /// # Errors
    /// [`SearchError::NothingLabelled`].
    pub(crate) fn require(self, pairs: &Dataset, purpose: &'static str) -> Result<(), SearchError> {
        let annotation = match self {
            Annotation::Boxes if pairs.entries().iter().all(|entry| entry.labels.is_empty()) => "a labelled object",
            Annotation::Masks if pairs.entries().iter().all(|entry| !entry.has_mask()) => "a class mask",
            Annotation::Boxes | Annotation::Masks => return Ok(()),
        };
        let (root, samples) = (pairs.root().to_owned(), pairs.len());
        Err(SearchError::NothingLabelled { root, samples, purpose, annotation })
    }
}

/// What one sample is labelled with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotated {
    /// Objects.
    pub labels: Vec<Label>,
    /// Regions that are neither right nor wrong.
    pub ignore: Vec<Label>,
    /// The class of every pixel, where the sample has a class mask and the task needs it.
    pub mask: Option<Gray8>,
}

impl Annotated {
    /// The same seen through a view. What the frame cuts off almost wholly is no object any more, but no background either: it
    /// becomes a region to ignore.
    ///
    /// # Errors
    /// When the mask has another size than the view's source.
    pub fn seen(&self, view: &View) -> Result<Self, SearchError> {
        let objects = view.map_labels(&self.labels, CutRule::default());
        let whole = CutRule { min_side_px: 0.0, min_area_fraction: 0.0 };
        let mut ignore = view.map_labels(&self.ignore, whole).kept;
        ignore.extend(objects.remainders);
        let mask = self.mask.as_ref().map(|mask| view.render_mask(mask)).transpose()?;
        Ok(Annotated { labels: objects.kept, ignore, mask })
    }
}

/// What a batch is labelled with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations {
    /// Objects with the number of their image in the batch.
    pub objects: Vec<(usize, Label)>,
    /// Regions that are neither right nor wrong, likewise.
    pub ignore: Vec<(usize, Label)>,
    /// The class of every pixel, `[n, height, width]`; empty when the task needs no masks.
    pub classes: Vec<u8>,
    /// n, height, width.
    pub shape: [usize; 3],
}

impl Annotations {
    /// Of images of a size.
    pub fn new(size: Size) -> Self {
        Annotations { shape: [0, size.height, size.width], ..Annotations::default() }
    }

    /// Of `n` images of a size with random objects or classes, for measuring what a batch costs.
    pub fn random(annotation: Annotation, n: usize, size: Size, classes: u8, random: &mut impl Rng) -> Self {
        /// Objects in an image.
        const OBJECTS: usize = 4;
        let shape = [n, size.height, size.width];
        let mut annotations = Annotations { shape, ..Annotations::default() };
        match annotation {
            Annotation::Boxes => {
                for image in (0..n).flat_map(|image| [image; OBJECTS]) {
                    let [cx, cy] = [0; 2].map(|_| random.random_range(0.2..0.8));
                    let [w, h] = [0; 2].map(|_| random.random_range(0.05..0.25));
                    let class = random.random_range(0..classes).into();
                    annotations.objects.push((image, Label { class, cx, cy, w, h }));
                }
            }
            Annotation::Masks => {
                let pixels = shape.into_iter().product();
                annotations.classes = (0..pixels).map(|_| random.random_range(0..classes)).collect();
            }
        }
        annotations
    }

    /// Adds an image.
    pub fn push(&mut self, image: &Annotated) {
        let number = self.shape[0];
        self.shape[0] += 1;
        self.objects.extend(image.labels.iter().map(|label| (number, *label)));
        self.ignore.extend(image.ignore.iter().map(|label| (number, *label)));
        self.classes.extend(image.mask.iter().flat_map(|mask| mask.data()));
    }
}

/// A class mask whose ids are all below the number of classes, or ignored.
///
/// # Errors
/// [`ImageError::Mask`] with the path and the first other id.
pub(super) fn checked_mask(mask: Gray8, classes: usize, path: &Path) -> Result<Gray8, SearchError> {
    match mask.data().iter().find(|id| usize::from(**id) >= classes && **id != IGNORED_LABEL) {
        Some(id) => {
            let found = format!("class {id}, where {classes} classes are named");
            Err(ImageError::Mask { path: path.to_owned(), found }.into())
        }
        None => Ok(mask),
    }
}
