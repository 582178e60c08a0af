//! A small rendered data set, and settings that search and train on it in seconds.

use caf_console::{Silent, StopFlag};
use caf_data::{Dataset, DatasetOptions, Need};
use caf_geometry::Size;
use caf_image::results::Existing;
use caf_net::zoo::caf::CafConfig;
use caf_net::zoo::yolov5::Variant;
use caf_scene::{Condition, DatasetSpec, write_dataset};
use caf_search::error::SearchError;
use caf_search::fusion::{FuseJob, FuseReport, Fuser, FusionTrainConfig, Method, fuse_folder};
use caf_search::loader::ImageSource;
use caf_search::run_settings::{DataSettings, RunSettings};
use caf_search::search::SearchConfig;
use caf_search::task_training::TaskTrainConfig;
use caf_search::tasks::{DetectionSettings, SegmentationSettings, TaskSettings};
use caf_weights::{Weights, load_safetensors};
use std::path::{Path, PathBuf};
use tch::Device;

/// Size of the images.
pub const SIZE: Size = Size::new(112, 80);
/// Size of what the networks are trained on.
pub const CROP: Size = Size::new(64, 64);

/// Rendered pairs in a temporary folder.
pub struct Scenes(tempfile::TempDir);

impl Scenes {
    /// Eight pairs by day and night, half of them for validation.
    pub fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spec = DatasetSpec {
            count: 8,
            seed,
            size: SIZE,
            conditions: vec![Condition::Day, Condition::Night],
            frames_per_scene: 1,
            val_share: 0.5,
            replace: false,
        };
        let summary = write_dataset(&dir.path().join("pairs"), &spec, &|_| {}).unwrap();
        assert_eq!((summary.train, summary.val), (4, 4));
        Scenes(dir)
    }

    /// The data set.
    pub fn root(&self) -> PathBuf {
        self.0.path().join("pairs")
    }

    /// A folder beside it for results; it does not exist yet.
    pub fn out(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The pairs of a list, with labels.
    pub fn dataset(&self, list: &str) -> Dataset {
        let options = DatasetOptions { list: Some(list.into()), labels: Need::Required, ..DatasetOptions::default() };
        Dataset::open(&self.root(), &options).unwrap()
    }

    /// Fuses the pairs of a list, in colour, into a folder that has no images of them yet.
    ///
    /// # Errors
    /// Those of [`fuse_folder`].
    pub fn fuse(&self, list: &str, method: &Method, out: &Path) -> Result<FuseReport, SearchError> {
        let dataset = self.dataset(list);
        let fuser = Fuser::new(method, Device::Cpu)?;
        let (dataset, fuser, existing) = (&dataset, &fuser, Existing::Refuse);
        let job = FuseJob { dataset, fuser, method, out, colour: true, existing };
        fuse_folder(&job, &Silent, &StopFlag::default())
    }

    fn data(&self) -> DataSettings {
        let (root, train, val) = (self.root(), Some("train.txt".into()), Some("val.txt".into()));
        DataSettings { root, train, val, ..DataSettings::default() }
    }

    fn run(&self, seed: u64, iterations: usize) -> RunSettings {
        RunSettings {
            seed,
            device: "cpu".into(),
            // Several tests run at once, and sums on one thread have one order.
            threads: 1,
            iterations: Some(iterations),
            batch: 2,
            size_px: CROP,
            ..RunSettings::default()
        }
    }

    /// A search of so many iterations.
    pub fn search(&self, iterations: usize) -> SearchConfig {
        let mut task = DetectionSettings { variant: Some(Variant::N), ..DetectionSettings::default() };
        task.optimizer.warmup = Some(2);
        let mut config = SearchConfig {
            run: self.run(3, iterations),
            data: self.data(),
            task: TaskSettings::new("detection", &task).unwrap(),
            ..SearchConfig::default()
        };
        config.fusion.network = CafConfig { width: 8, depth: 2, normalised: true }.into();
        config
    }

    /// The same driven by segmentation.
    pub fn search_by_segmentation(&self, iterations: usize) -> SearchConfig {
        let mut task = SegmentationSettings {
            widths: Some([8, 16, 40, 64]),
            depths: Some([1, 1, 1, 1]),
            decoder_width: Some(16),
            ..SegmentationSettings::default()
        };
        // Something is dropped in every iteration.
        task.drop_path = 0.5;
        task.optimizer.rate = 1e-3;
        SearchConfig { task: TaskSettings::new("segmentation", &task).unwrap(), ..self.search(iterations) }
    }

    /// A training of the same fusion network with a found loss.
    pub fn fusion(&self, beta: PathBuf, iterations: usize) -> FusionTrainConfig {
        let mut config = FusionTrainConfig {
            beta,
            run: RunSettings { save_every: 50, ..self.run(4, iterations) },
            data: self.data(),
            fusion: self.search(1).fusion,
            ..FusionTrainConfig::default()
        };
        config.validation.every = 2;
        config
    }

    /// One epoch of a narrow detector on images of the pairs' names in a folder.
    pub fn task(&self, images: &Path) -> TaskTrainConfig {
        let mut task = DetectionSettings {
            variant: Some(Variant::N),
            width_multiple: Some(0.125),
            ..DetectionSettings::default()
        };
        task.optimizer.warmup = Some(2);
        TaskTrainConfig {
            images: ImageSource::Folder(images.to_owned()),
            run: RunSettings { iterations: None, epochs: 1, size_px: Size::new(128, 96), ..self.run(5, 1) },
            data: self.data(),
            task: TaskSettings::new("detection", &task).unwrap(),
            ..TaskTrainConfig::default()
        }
    }
}

/// All tensors of a safetensors file that differ, by name, or that only one of two files has.
pub fn differing(a: &Path, b: &Path) -> Vec<String> {
    let [a, b] = [a, b].map(|path| load_safetensors(path).unwrap());
    let missing = |from: &Weights, of: &Weights| -> Vec<String> {
        of.iter().map(|(name, _)| name.to_owned()).filter(|name| from.get(name).is_none()).collect()
    };
    let mut found = missing(&a, &b);
    found.extend(missing(&b, &a));
    found.extend(a.iter().filter(|(name, t)| b.get(name).is_some_and(|o| o != *t)).map(|(name, _)| name.to_owned()));
    found
}
