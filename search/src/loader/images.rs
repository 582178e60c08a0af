//! Single images for a task: read when needed, seen through random views.

use super::annotations::{Annotated, Annotation, Annotations, checked_mask};
use super::cache::{Bytes, Cache};
use super::order::Order;
use crate::error::SearchError;
use crate::named_images::{Misfits, images_of};
use crate::state::fingerprint;
use caf_data::Dataset;
use caf_data::Entry;
use caf_data::augment::ScaleShiftSettings;
use caf_data::view::BORDER;
use caf_geometry::Size;
use caf_image::color::quantize;
use caf_image::{Gray8, Label, Rgb8};
use caf_image::{IrRange, read_vi};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// Which picture of a pair a task sees. As text `visible`, `infrared`, or a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum ImageSource {
    /// The visible half.
    Visible,
    /// The infrared half, replicated to three channels.
    Infrared,
    /// Files of the pairs' names and sizes in a folder, for example fused images.
    Folder(PathBuf),
}

impl ImageSource {
    /// The folder of a source that is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            ImageSource::Folder(folder) => Some(folder),
            ImageSource::Visible | ImageSource::Infrared => None,
        }
    }
}

impl From<String> for ImageSource {
    fn from(text: String) -> Self {
        match text.as_str() {
            "visible" => ImageSource::Visible,
            "infrared" => ImageSource::Infrared,
            _ => ImageSource::Folder(text.into()),
        }
    }
}

impl FromStr for ImageSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.to_owned().into())
    }
}

impl From<ImageSource> for String {
    fn from(source: ImageSource) -> String {
        source.to_string()
    }
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
    /// Its size.
    pub size: Size,
    /// Objects.
    pub labels: Vec<Label>,
    /// Regions that are neither right nor wrong.
    pub ignore: Vec<Label>,
    /// Whether it has a class mask that the task needs.
    pub has_mask: bool,
}

/// Pixels of an image, and the class of each where the task needs them.
#[derive(Clone, Debug)]
pub struct Pixels {
    /// The image, gray ones replicated to three channels.
    pub image: Rgb8,
    /// Its class mask.
    pub mask: Option<Gray8>,
}

impl Bytes for Pixels {
    fn bytes(&self) -> usize {
        self.image.data().len() + self.mask.as_ref().map_or(0, |mask| mask.data().len())
    }
}

/// Labelled images of one data set, read when needed and kept as far as memory is granted.
#[derive(Debug)]
pub struct TaskImages {
    root: PathBuf,
    images: Vec<TaskImage>,
    entries: Vec<Entry>,
    source: ImageSource,
    classes: Vec<String>,
    /// How infrared files become pixels, when the images are these.
    infrared: Option<IrRange>,
    fingerprint: String,
    cache: Cache<Pixels>,
}

impl TaskImages {
    /// The pairs of `dataset` as seen by `source`; up to `cache_mib` MiB of decoded images are kept. 16-bit infrared is mapped
    /// as the data set was opened.
    ///
    /// # Errors
    /// [`SearchError::Images`] with every pair that has not what the task learns from, or no image in the folder, or one of another size, and when
    /// the data set names no classes.
    pub fn open(
        dataset: &Dataset,
        source: &ImageSource,
        annotation: Annotation,
        cache_mib: usize,
    ) -> Result<Self, SearchError> {
        let mut offenders = Vec::new();
        let classes = annotation.classes(dataset).to_vec();
        if classes.is_empty() {
            offenders.push(annotation.no_classes().to_owned());
        }
        let missing = |entry: &Entry| Some(format!("{}: {}", entry.name, annotation.missing(entry)?));
        offenders.extend(dataset.entries().iter().filter_map(missing));
        let paths = match source {
            ImageSource::Visible => dataset.entries().iter().map(|entry| entry.vi.clone()).collect(),
            ImageSource::Infrared => dataset.entries().iter().map(|entry| entry.ir.clone()).collect(),
            ImageSource::Folder(folder) => images_of(dataset, folder, &mut offenders)?,
        };
        if !offenders.is_empty() {
            let folder = source.folder().unwrap_or(dataset.root()).to_owned();
            return Err(Misfits { folder, offenders }.into());
        }
        let image = |(entry, path): (&Entry, PathBuf)| TaskImage {
            name: entry.name.clone(),
            path,
            size: entry.size,
            labels: entry.labels.clone(),
            ignore: entry.ignore.clone(),
            has_mask: annotation.needs_mask() && entry.has_mask(),
        };
        Ok(TaskImages {
            root: dataset.root().to_owned(),
            images: dataset.entries().iter().zip(paths).map(image).collect(),
            entries: dataset.entries().to_vec(),
            source: source.clone(),
            classes,
            infrared: (*source == ImageSource::Infrared).then(|| dataset.ir_range()),
            fingerprint: format!("{source}, {}", fingerprint(dataset)),
            cache: Cache::new(cache_mib.saturating_mul(1 << 20)),
        })
    }

    /// Folder of the data set.
    pub fn root(&self) -> &Path {
        &self.root
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

    /// How 16-bit infrared becomes pixels; none where the images are not infrared.
    pub fn ir_range(&self) -> Option<IrRange> {
        self.infrared
    }

    /// The pixels of an image.
    ///
    /// # Errors
    /// When a file cannot be read, its size is not what it was at opening, or a mask has a class that the data set does not name.
    pub fn load(&self, index: usize) -> Result<Arc<Pixels>, SearchError> {
        let absent = caf_data::DataError::Index { index, len: self.len() };
        let (image, entry) = self.images.get(index).zip(self.entries.get(index)).ok_or(absent)?;
        self.cache.get(index, || {
            let pixels = match self.source {
                ImageSource::Visible => entry.read_vi()?,
                ImageSource::Infrared => {
                    let plane = entry.read_ir(self.infrared.unwrap_or_default())?;
                    let bytes = plane.data().iter().flat_map(|v| [quantize(*v); 3]).collect();
                    Rgb8::new(plane.size(), bytes)?
                }
                ImageSource::Folder(_) => read_vi(&image.path)?,
            };
            if pixels.size() != image.size {
                let (path, expected, found) = (image.path.clone(), image.size, pixels.size());
                return Err(caf_data::DataError::Changed { path, expected, found }.into());
            }
            let mask = match entry.read_mask()?.filter(|_| image.has_mask) {
                Some(mask) => {
                    Some(checked_mask(mask, self.classes.len(), entry.mask.as_deref().unwrap_or(&image.path))?)
                }
                None => None,
            };
            Ok(Pixels { image: pixels, mask })
        })
    }

    /// What a resumed training compares: the source, names, sizes and boxes, not pixels.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// How batches are drawn from images.
#[derive(Clone, Debug)]
pub struct ImageBatches {
    /// The images.
    pub images: Arc<TaskImages>,
    /// Which of them, when.
    pub order: Order,
    /// Random views.
    pub augment: ScaleShiftSettings,
    /// Size of the network input.
    pub size: Size,
}

/// A batch in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct HostImages {
    /// Names of the images.
    pub names: Vec<String>,
    /// RGB bytes `[n, height, width, 3]`.
    pub pixels: Vec<u8>,
    /// n, height, width.
    pub shape: [usize; 3],
    /// What they are labelled with.
    pub annotations: Annotations,
}

impl ImageBatches {
    /// This rank's part of the images of one iteration.
    ///
    /// # Errors
    /// When an image cannot be read.
    pub fn load(&self, iteration: usize) -> Result<HostImages, SearchError> {
        let members = self.order.members(iteration);
        let own = caf_ranks::part(members.len());
        let Size { width, height } = self.size;
        let mut batch = HostImages {
            names: Vec::new(),
            pixels: Vec::with_capacity(own.len() * width * height * 3),
            shape: [own.len(), height, width],
            annotations: Annotations::new(self.size),
        };
        let mut frame = Rgb8::filled(self.size, BORDER)?;
        for (slot, index) in members.into_iter().enumerate().skip(own.start).take(own.len()) {
            let Some(image) = self.images.images().get(index) else { continue };
            let view = self.augment.draw(image.size, self.size, &mut self.order.random(iteration, slot))?;
            let pixels = self.images.load(index)?;
            view.render_into(&pixels.image, BORDER, &mut frame)?;
            batch.pixels.extend_from_slice(frame.data());
            let (labels, ignore, mask) = (image.labels.clone(), image.ignore.clone(), pixels.mask.clone());
            batch.annotations.push(&Annotated { labels, ignore, mask }.seen(&view)?);
            batch.names.push(image.name.clone());
        }
        Ok(batch)
    }
}

impl HostImages {
    /// RGB in [0, 1], `[n, 3, height, width]`, channels last in memory, which the convolutions keep.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn tensor(&self, device: Device) -> Result<Tensor, SearchError> {
        unit_tensor(&self.pixels, self.shape, device)
    }
}

/// Packed RGB bytes `[n, height, width, 3]` as floats in [0, 1], `[n, 3, height, width]`.
///
/// # Errors
/// When their number does not fit or memory runs out.
pub fn unit_tensor(pixels: &[u8], [n, h, w]: [usize; 3], device: Device) -> Result<Tensor, SearchError> {
    let bytes = Tensor::f_from_slice(pixels)?.f_view([n as i64, h as i64, w as i64, 3])?.f_to_device(device)?;
    Ok(bytes.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?)
}

/// The bytes of an image, `[1, height, width, 3]`.
///
/// # Errors
/// When memory runs out.
pub fn byte_tensor(image: &Rgb8, device: Device) -> Result<Tensor, SearchError> {
    let extents = [1, image.height() as i64, image.width() as i64, 3];
    Ok(Tensor::f_from_slice(image.data())?.f_view(extents)?.f_to_device(device)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Folder, images};
    use crate::loader::Stream;
    use caf_data::{DatasetOptions, Need};
    use caf_image::write_rgb8;

    #[test]
    fn infrared_is_replicated_and_visible_is_as_it_is() {
        let folder = Folder::new(2, Size::new(40, 30));
        let infrared = TaskImages::open(&folder.dataset(), &ImageSource::Infrared, Annotation::Boxes, 0).unwrap();
        assert_eq!(infrared.load(0).unwrap().image.pixel(0, 0), Some([230; 3]));
        assert_eq!(images(&folder, 0).load(0).unwrap().image.pixel(0, 0), Some([220, 40, 30]));
    }

    #[test]
    fn sixteen_bit_infrared_is_mapped_as_the_data_set_says() {
        let folder = Folder::new(1, Size::new(40, 30));
        let mut values: Vec<u16> = vec![1000; 40 * 30];
        values[7] = 2000;
        let picture = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(40, 30, values).unwrap();
        picture.save(folder.path().join("ir/scene0.png")).unwrap();
        let seen = |ir_range| {
            let options = DatasetOptions { labels: Need::Required, ir_range, ..DatasetOptions::default() };
            let dataset = Dataset::open(folder.path(), &options).unwrap();
            let images = TaskImages::open(&dataset, &ImageSource::Infrared, Annotation::Boxes, 0).unwrap();
            let image = images.load(0).unwrap();
            [image.image.pixel(0, 0), image.image.pixel(7, 0)].map(|p| p.unwrap()[0])
        };
        assert_eq!(seen(IrRange::Full), [4, 8]);
        assert_eq!(seen(IrRange::MinMax), [0, 255]);
    }

    #[test]
    fn every_missing_or_misshapen_image_of_a_folder_is_listed() {
        let folder = Folder::new(3, Size::new(40, 30));
        let fused = tempfile::tempdir().unwrap();
        write_rgb8(&fused.path().join("scene0.png"), &Rgb8::filled(Size::new(40, 30), 1).unwrap()).unwrap();
        write_rgb8(&fused.path().join("scene1.png"), &Rgb8::filled(Size::new(41, 30), 1).unwrap()).unwrap();
        let source = ImageSource::Folder(fused.path().to_owned());
        let text = TaskImages::open(&folder.dataset(), &source, Annotation::Boxes, 0).unwrap_err().to_string();
        assert!(text.contains("2 problem(s)") && text.contains("found 41x30") && text.contains("scene2"), "{text}");
        write_rgb8(&fused.path().join("scene1.png"), &Rgb8::filled(Size::new(40, 30), 1).unwrap()).unwrap();
        write_rgb8(&fused.path().join("scene2.png"), &Rgb8::filled(Size::new(40, 30), 7).unwrap()).unwrap();
        let open = TaskImages::open(&folder.dataset(), &source, Annotation::Boxes, 0).unwrap();
        assert_eq!(open.load(2).unwrap().image.pixel(3, 3), Some([7; 3]));
    }

    #[test]
    fn the_fingerprint_follows_source_and_labels() {
        let folder = Folder::new(2, Size::new(40, 30));
        let before = images(&folder, 0).fingerprint().to_owned();
        assert_eq!(before, images(&folder, 0).fingerprint());
        let infrared = TaskImages::open(&folder.dataset(), &ImageSource::Infrared, Annotation::Boxes, 0).unwrap();
        assert_ne!(before, infrared.fingerprint(), "the same pairs, seen by the other camera");
        std::fs::write(folder.path().join("labels/scene1.txt"), "0 0.5 0.5 0.1 0.1\n").unwrap();
        assert_ne!(before, images(&folder, 0).fingerprint());
    }

    fn batches(folder: &Folder) -> ImageBatches {
        let images = Arc::new(images(folder, 0));
        let order = Order { seed: 5, stream: Stream::Train, samples: images.len(), batch: 3 };
        ImageBatches { images, order, augment: ScaleShiftSettings::default(), size: Size::new(64, 32) }
    }

    #[test]
    fn bytes_become_channels_first_floats_and_every_image_has_its_annotations() {
        let folder = Folder::new(3, Size::new(40, 30));
        let batch = batches(&folder).load(0).unwrap();
        assert_eq!((batch.shape, batch.annotations.shape, batch.names.len()), ([3, 32, 64], [3, 32, 64], 3));
        let tensor = batch.tensor(Device::Cpu).unwrap();
        assert_eq!(tensor.size(), [3, 3, 32, 64]);
        let byte = batch.pixels[((32 + 5) * 64 + 7) * 3 + 2];
        assert_eq!(tensor.double_value(&[1, 2, 5, 7]) as f32, f32::from(byte) / 255.0);
        // One object in each image; what a view cuts off is a region.
        let all = || batch.annotations.objects.iter().chain(&batch.annotations.ignore);
        assert!((0..3).all(|i| all().any(|(image, _)| *image == i)), "{:?}", batch.annotations);
        assert_eq!(batches(&folder).load(0).unwrap(), batch);
    }

    #[test]
    fn a_picture_that_cannot_be_read_is_an_error_with_its_path() {
        let folder = Folder::new(3, Size::new(40, 30));
        let batches = batches(&folder);
        std::fs::write(folder.path().join("vi/scene1.png"), b"no picture").unwrap();
        let error = batches.load(0).unwrap_err();
        assert!(error.to_string().contains("scene1.png"), "{error}");
    }
}
