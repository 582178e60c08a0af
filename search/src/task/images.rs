//! The images a detector is trained or measured on.

use super::error::TaskError;
use caf_data::image_file::{EXTENSIONS, IrRange, image_size, read_ir, read_vi};
use caf_data::{Dataset, Label, Rgb8};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
    infrared: bool,
    cache: Vec<OnceLock<Arc<Rgb8>>>,
    cache_left: AtomicUsize,
}

impl TaskImages {
    /// The pairs of `dataset` as seen by `source`; up to `cache_mib` MiB of decoded images are kept.
    ///
    /// # Errors
    /// [`TaskError::Images`] with every pair that has no label file or no image in the folder, or one of another size, and when
    /// the data set names no classes.
    pub fn open(dataset: &Dataset, source: &ImageSource, cache_mib: usize) -> Result<Self, TaskError> {
        let mut offenders = Vec::new();
        if dataset.classes().is_empty() {
            offenders.push("no class names (classes.txt)".to_owned());
        }
        let folder = match source {
            ImageSource::Folder(folder) => Some((folder, files_by_name(folder, &mut offenders)?)),
            ImageSource::Visible | ImageSource::Infrared => None,
        };
        let mut images = Vec::with_capacity(dataset.len());
        for entry in dataset.entries() {
            let size = (entry.width, entry.height);
            if !entry.labelled {
                offenders.push(format!("{}: no label file", entry.name));
            }
            let path = match (&folder, source) {
                (Some((folder, files)), _) => match files.get(&entry.name) {
                    Some(path) => {
                        offenders.extend(wrong_size(path, size));
                        path.clone()
                    }
                    None => {
                        offenders.push(format!("{}: no image of this name in {}", entry.name, folder.display()));
                        continue;
                    }
                },
                (None, ImageSource::Infrared) => entry.ir.clone(),
                (None, _) => entry.vi.clone(),
            };
            let (labels, ignore) = (entry.labels.clone(), entry.ignore.clone());
            images.push(TaskImage { name: entry.name.clone(), path, size, labels, ignore });
        }
        if !offenders.is_empty() {
            let folder = folder.map_or_else(|| dataset.root().to_owned(), |(folder, _)| folder.clone());
            return Err(TaskError::Images { folder, offenders });
        }
        Ok(TaskImages {
            cache: images.iter().map(|_| OnceLock::new()).collect(),
            images,
            classes: dataset.classes().to_vec(),
            infrared: *source == ImageSource::Infrared,
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
        let pixels = if self.infrared {
            let plane = read_ir(&image.path, IrRange::Full)?;
            let bytes = plane.data().iter().flat_map(|v| [(v * 255.0).round() as u8; 3]).collect();
            Rgb8::new(plane.width(), plane.height(), bytes)?
        } else {
            read_vi(&image.path)?
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

    /// What a resumed training compares: names, sizes and boxes, not pixels.
    pub fn fingerprint(&self) -> String {
        let mut hash = Fnv::default();
        for class in &self.classes {
            hash.feed(class.as_bytes());
        }
        for image in &self.images {
            hash.feed(image.name.as_bytes());
            hash.feed(&image.size.0.to_le_bytes());
            hash.feed(&image.size.1.to_le_bytes());
            for (kind, boxes) in [(0u8, &image.labels), (1, &image.ignore)] {
                for b in boxes {
                    hash.feed(&[kind]);
                    hash.feed(&b.class.to_le_bytes());
                    [b.cx, b.cy, b.w, b.h].iter().for_each(|v| hash.feed(&v.to_le_bytes()));
                }
            }
        }
        format!("{} images {:016x}", self.len(), hash.0)
    }
}

/// The 64-bit FNV-1a hash: stable between versions of the standard library, unlike its own.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Takes in some bytes and their number, so that neighbouring fields cannot run into each other.
    fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().copied().chain((bytes.len() as u64).to_le_bytes()) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

fn files_by_name(folder: &Path, offenders: &mut Vec<String>) -> Result<BTreeMap<String, PathBuf>, TaskError> {
    let read = |source| caf_data::DataError::Read { path: folder.to_owned(), source };
    let mut files = BTreeMap::new();
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        paths.push(entry.map_err(read)?.path());
    }
    paths.sort_unstable();
    for path in paths {
        let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        if !extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str())) {
            continue;
        }
        let Some(name) = path.file_stem().and_then(|s| s.to_str()) else { continue };
        if let Some(first) = files.insert(name.to_owned(), path.clone()) {
            offenders.push(format!("{name}: two files with this name, {} and {}", first.display(), path.display()));
        }
    }
    Ok(files)
}

fn wrong_size(path: &Path, expected: (usize, usize)) -> Option<String> {
    match image_size(path) {
        Ok(found) if found == expected => None,
        Ok(found) => Some(format!(
            "{}: expected {}x{} as the pair, found {}x{}",
            path.display(),
            expected.0,
            expected.1,
            found.0,
            found.1
        )),
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::fixture::{Folder, images};
    use caf_data::image_file::write_rgb8;

    #[test]
    fn infrared_is_replicated_and_visible_is_as_it_is() {
        let folder = Folder::new(2, (40, 30));
        let infrared = TaskImages::open(&folder.dataset(), &ImageSource::Infrared, 0).unwrap();
        assert_eq!(infrared.load(0).unwrap().pixel(0, 0), Some([230; 3]));
        assert_eq!(images(&folder, 0).load(0).unwrap().pixel(0, 0), Some([220, 40, 30]));
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
    fn the_fingerprint_follows_labels() {
        let folder = Folder::new(2, (40, 30));
        let before = images(&folder, 0).fingerprint();
        assert_eq!(before, images(&folder, 0).fingerprint());
        std::fs::write(folder.path().join("labels/scene1.txt"), "0 0.5 0.5 0.1 0.1\n").unwrap();
        assert_ne!(before, images(&folder, 0).fingerprint());
    }
}
