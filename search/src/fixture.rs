//! For tests: a small data set, coloured rectangles on a gradient, warm in infrared; and trainings on it that stop where they should.

use crate::error::SearchError;
use crate::loader::{Annotation, ImageSource, TaskImages};
use crate::task_training::{self, Finished, TaskTrainConfig};
use crate::tasks::TaskSettings;
use caf_console::StopFlag;
use caf_data::{Dataset, DatasetOptions, Need};
use caf_geometry::Size;
use caf_golden::StopAfter;
use caf_image::label;
use caf_image::{Gray8, Label, Rgb8};
use caf_image::{write_gray8, write_rgb8};
use std::path::Path;
use tempfile::TempDir;

/// The folder of the data set, removed at the end.
pub struct Folder(TempDir);

impl Folder {
    /// `count` pairs `scene0`, `scene1`, … of a size, each with one object of class 0 or 1.
    pub fn new(count: usize, size: Size) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["ir", "vi", "labels", "ignore"] {
            std::fs::create_dir(dir.path().join(sub)).unwrap();
        }
        std::fs::write(dir.path().join("classes.txt"), "box\nbar\n").unwrap();
        let Size { width, height } = size;
        for i in 0..count {
            let class = i % 2;
            let (w, h) = if class == 0 { (width / 4, height / 3) } else { (width / 2, height / 5) };
            let (x, y) = ((i * 7) % (width - w), (i * 5) % (height - h));
            let inside = |px: usize, py: usize| (x..x + w).contains(&px) && (y..y + h).contains(&py);
            let (mut vi, mut ir) = (Vec::new(), Vec::new());
            for py in 0..height {
                for px in 0..width {
                    let shade = (40 + px + i) as u8;
                    vi.extend(if inside(px, py) { [220, 40 + 150 * class as u8, 30] } else { [shade, shade, 90] });
                    ir.push(if inside(px, py) { 230 } else { 60 });
                }
            }
            let file = |sub: &str, ext: &str| dir.path().join(sub).join(format!("scene{i}.{ext}"));
            write_rgb8(&file("vi", "png"), &Rgb8::new(size, vi).unwrap()).unwrap();
            write_gray8(&file("ir", "png"), &Gray8::new(size, ir).unwrap()).unwrap();
            let label = Label {
                class: class as u32,
                cx: (x as f32 + w as f32 / 2.0) / width as f32,
                cy: (y as f32 + h as f32 / 2.0) / height as f32,
                w: w as f32 / width as f32,
                h: h as f32 / height as f32,
            };
            std::fs::write(file("labels", "txt"), label::format(&[label])).unwrap();
            if i == 0 {
                let region = Label { class: 0, cx: 0.9, cy: 0.9, w: 0.1, h: 0.1 };
                std::fs::write(file("ignore", "txt"), label::format(&[region])).unwrap();
            }
        }
        Folder(dir)
    }

    /// The same with class masks: background, box, bar.
    pub fn with_masks(count: usize, size: Size) -> Self {
        let folder = Folder::new(count, size);
        std::fs::create_dir(folder.path().join("masks")).unwrap();
        std::fs::write(folder.path().join("mask_classes.txt"), "background\nbox\nbar\n").unwrap();
        let dataset = folder.dataset();
        for entry in dataset.entries() {
            let mut mask = Gray8::filled(size, 0).unwrap();
            for label in &entry.labels {
                let part = label.to_pixels(size);
                for (i, pixel) in mask.data_mut().iter_mut().enumerate() {
                    let (x, y) = ((i % size.width) as f32 + 0.5, (i / size.width) as f32 + 0.5);
                    if part.x1 < x && x < part.x2 && part.y1 < y && y < part.y2 {
                        *pixel = label.class as u8 + 1;
                    }
                }
            }
            write_gray8(&folder.path().join("masks").join(format!("{}.png", entry.name)), &mask).unwrap();
        }
        folder
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Opened with labels.
    pub fn dataset(&self) -> Dataset {
        Dataset::open(self.path(), &DatasetOptions { labels: Need::Required, ..DatasetOptions::default() }).unwrap()
    }
}

/// Its visible images.
pub fn images(folder: &Folder, cache_mib: usize) -> TaskImages {
    TaskImages::open(&folder.dataset(), &ImageSource::Visible, Annotation::Boxes, cache_mib).unwrap()
}

/// A training on all images of a folder, on one thread.
pub fn task_training(folder: &Folder, kind: &str, settings: &impl serde::Serialize) -> TaskTrainConfig {
    let mut config = TaskTrainConfig::default();
    (config.run.size_px, config.run.seed) = (Size::new(64, 64), 3);
    (config.run.device, config.run.threads) = ("cpu".into(), 1);
    config.data.root = folder.path().to_owned();
    (config.data.train, config.data.val, config.data.allow_overlap) = (None, None, true);
    config.task = TaskSettings::new(kind, settings).unwrap();
    config
}

/// Trains to the end, or until so many iterations are done.
pub fn train(config: &TaskTrainConfig, out: &Path, stop_after: Option<u64>) -> Result<Finished, SearchError> {
    let stop = StopFlag::default();
    task_training::train(config, out, &StopAfter(stop_after.unwrap_or(u64::MAX), &stop), &stop)
}
