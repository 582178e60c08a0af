//! The images a detector is trained or measured on.

use super::error::TaskError;
use crate::named_images::{Misfits, images_of};
use crate::state::fingerprint;
use caf_data::color::Quantize;
use caf_data::dataset::Entry;
use caf_data::image_file::{IrRange, read_ir, read_vi};
use caf_data::{Dataset, Label, Rgb8};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Which picture of a pair the detector sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// The visible half.
    Visible,
    /// The infrared half, replicated to three channels.
    Infrared,
    /// Files of the pairs' names and sizes in a folder, for example fused images.
    Folder(PathBuf),
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageSource::Visible => f.write_str("visible"),
            ImageSource::Infrared => f.write_str("infrared"),
            ImageSource::Folder(folder) => folder.display().fmt(f),
        }
    }
}

/// One labelled image.
#[derive(Clone, Debug)]
pub struct TaskImage {
    /// Name of the pair.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Width and height.
    pub size: (usize, usize),
    /// Objects.
    pub labels: Vec<Label>,
    /// Regions that are neither right nor wrong.
    pub ignore: Vec<Label>,
}

/// Labelled images of one data set, read when needed and kept as far as memory is granted.
#[derive(Debug)]
pub struct TaskImages {
    images: Vec<TaskImage>,
    classes: Vec<String>,
    /// How infrared files become pixels, when the images are these.
    infrared: Option<IrRange>,
    fingerprint: String,
    cache: Vec<OnceLock<Arc<Rgb8>>>,
    cache_left: AtomicUsize,
}

impl TaskImages {
    /// The pairs of `dataset` as seen by `source`; up to `cache_mib` MiB of decoded images are kept. 16-bit infrared is mapped
    /// as the data set was opened.
    ///
    /// # Errors
    /// [`TaskError::Images`] with every pair that has no label file or no image in the folder, or one of another size, and when
    /// the data set names no classes.
    pub fn open(dataset: &Dataset, source: &ImageSource, cache_mib: usize) -> Result<Self, TaskError> {
        let mut offenders = Vec::new();
        if dataset.classes().is_empty() {
            offenders.push("no class names (classes.txt)".to_owned());
        }
        let unlabelled = dataset.entries().iter().filter(|entry| !entry.labelled);
        offenders.extend(unlabelled.map(|entry| format!("{}: no label file", entry.name)));
        let paths = match source {
            ImageSource::Visible => dataset.entries().iter().map(|entry| entry.vi.clone()).collect(),
            ImageSource::Infrared => dataset.entries().iter().map(|entry| entry.ir.clone()).collect(),
            ImageSource::Folder(folder) => images_of(dataset, folder, &mut offenders)?,
        };
        if !offenders.is_empty() {
            let folder = match source {
                ImageSource::Folder(folder) => folder.clone(),
                ImageSource::Visible | ImageSource::Infrared => dataset.root().to_owned(),
            };
            return Err(Misfits { folder, offenders }.into());
        }
        let image = |(entry, path): (&Entry, PathBuf)| TaskImage {
            name: entry.name.clone(),
            path,
            size: (entry.width, entry.height),
            labels: entry.labels.clone(),
            ignore: entry.ignore.clone(),
        };
        Ok(TaskImages {
            images: dataset.entries().iter().zip(paths).map(image).collect(),
            classes: dataset.classes().to_vec(),
            infrared: (*source == ImageSource::Infrared).then(|| dataset.ir_range()),
            fingerprint: format!("{source}, {}", fingerprint(dataset)),
            cache: dataset.entries().iter().map(|_| OnceLock::new()).collect(),
            cache_left: AtomicUsize::new(cache_mib.saturating_mul(1 << 20)),
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// All of them, in the order of the data set.
    pub fn images(&self) -> &[TaskImage] {
        &self.images
    }

    /// Class names by number.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How 16-bit infrared became pixels; the full range where the images are not infrared.
    pub fn ir_range(&self) -> IrRange {
        self.infrared.unwrap_or_default()
    }

    /// The pixels of an image, gray ones replicated to three channels.
    ///
    /// # Errors
    /// When the file cannot be read or its size is not what it was at opening.
    pub fn load(&self, index: usize) -> Result<Arc<Rgb8>, TaskError> {
        let image = self.images.get(index).ok_or(caf_data::DataError::Index { index, len: self.len() })?;
        let slot = self.cache.get(index);
        if let Some(kept) = slot.and_then(OnceLock::get) {
            return Ok(kept.clone());
        }
        let pixels = match self.infrared {
            Some(range) => {
                let plane = read_ir(&image.path, range)?;
                let bytes = plane.data().iter().flat_map(|v| [Quantize::ClampRound.apply(*v); 3]).collect();
                Rgb8::new(plane.width(), plane.height(), bytes)?
            }
            None => read_vi(&image.path)?,
        };
        if pixels.size_wh() != image.size {
            let (path, expected, found) = (image.path.clone(), image.size, pixels.size_wh());
            return Err(caf_data::DataError::Changed { path, expected, found }.into());
        }
        let bytes = pixels.data().len();
        let pixels = Arc::new(pixels);
        let grant = self.cache_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        if let (Ok(_), Some(slot)) = (grant, slot) {
            // A second worker that read the same image at the same time has filled the slot already: equal pixels.
            let _ = slot.set(pixels.clone());
        }
        Ok(pixels)
    }

    /// What a resumed training compares: the source, names, sizes and boxes, not pixels.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Labelled objects in all images.
    pub fn objects(&self) -> usize {
        self.images.iter().map(|image| image.labels.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::fixture::{Folder, images};
    use caf_data::image_file::write_rgb8;
    use caf_data::{DatasetOptions, Need};

    #[test]
    fn infrared_is_replicated_and_visible_is_as_it_is() {
        let folder = Folder::new(2, (40, 30));
        let infrared = TaskImages::open(&folder.dataset(), &ImageSource::Infrared, 0).unwrap();
        assert_eq!(infrared.load(0).unwrap().pixel(0, 0), Some([230; 3]));
        assert_eq!(images(&folder, 0).load(0).unwrap().pixel(0, 0), Some([220, 40, 30]));
    }

    #[test]
    fn sixteen_bit_infrared_is_mapped_as_the_data_set_says() {
        let folder = Folder::new(1, (40, 30));
        let mut values: Vec<u16> = vec![1000; 40 * 30];
        values[7] = 2000;
        let picture = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(40, 30, values).unwrap();
        picture.save(folder.path().join("ir/scene0.png")).unwrap();
        let seen = |ir_range| {
            let options = DatasetOptions { labels: Need::Required, ir_range, ..DatasetOptions::default() };
            let dataset = Dataset::open(folder.path(), &options).unwrap();
            let images = TaskImages::open(&dataset, &ImageSource::Infrared, 0).unwrap();
            let image = images.load(0).unwrap();
            [image.pixel(0, 0), image.pixel(7, 0)].map(|p| p.unwrap()[0])
        };
        assert_eq!(seen(IrRange::Full), [4, 8]);
        assert_eq!(seen(IrRange::MinMax), [0, 255]);
    }

    #[test]
    fn every_missing_or_misshapen_image_of_a_folder_is_listed() {
        let folder = Folder::new(3, (40, 30));
        let fused = tempfile::tempdir().unwrap();
        write_rgb8(&fused.path().join("scene0.png"), &Rgb8::filled(40, 30, 1).unwrap()).unwrap();
        write_rgb8(&fused.path().join("scene1.png"), &Rgb8::filled(41, 30, 1).unwrap()).unwrap();
        let source = ImageSource::Folder(fused.path().to_owned());
        let text = TaskImages::open(&folder.dataset(), &source, 0).unwrap_err().to_string();
        assert!(text.contains("2 problem(s)") && text.contains("found 41x30") && text.contains("scene2"), "{text}");
        write_rgb8(&fused.path().join("scene1.png"), &Rgb8::filled(40, 30, 1).unwrap()).unwrap();
        write_rgb8(&fused.path().join("scene2.png"), &Rgb8::filled(40, 30, 7).unwrap()).unwrap();
        let open = TaskImages::open(&folder.dataset(), &source, 0).unwrap();
        assert_eq!(open.load(2).unwrap().pixel(3, 3), Some([7; 3]));
    }

    #[test]
    fn the_cache_keeps_what_fits_and_no_more() {
        let folder = Folder::new(2, (40, 30));
        let images = images(&folder, 1);
        images.cache_left.store(40 * 30 * 3, Ordering::Relaxed);
        let first = images.load(0).unwrap();
        assert!(Arc::ptr_eq(&first, &images.load(0).unwrap()));
        assert!(!Arc::ptr_eq(&images.load(1).unwrap(), &images.load(1).unwrap()));
    }

    #[test]
    fn the_fingerprint_follows_source_and_labels() {
        let folder = Folder::new(2, (40, 30));
        let before = images(&folder, 0).fingerprint().to_owned();
        assert_eq!(before, images(&folder, 0).fingerprint());
        let infrared = TaskImages::open(&folder.dataset(), &ImageSource::Infrared, 0).unwrap();
        assert_ne!(before, infrared.fingerprint(), "the same pairs, seen by the other camera");
        std::fs::write(folder.path().join("labels/scene1.txt"), "0 0.5 0.5 0.1 0.1\n").unwrap();
        assert_ne!(before, images(&folder, 0).fingerprint());
    }
}
