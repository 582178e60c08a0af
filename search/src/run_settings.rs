//! Settings that every training has: how long, on what batches, where it computes, where samples come from.

use crate::error::SearchError;
use crate::fusion_net::FusionNet;
use crate::ir_range;
use crate::layout::LayoutSetting;
use crate::loader::Annotation;
use caf_data::{Dataset, DatasetOptions, Need};
use caf_fusion_loss::saliency::SaliencyForm;
use caf_geometry::Size;
use caf_image::IrRange;
use caf_net::zoo::fusion::FusionConfig;
use caf_net::zoo::network::Sides;
use caf_torch::{TorchError, device_from_name, set_own_statistics};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tch::Device;

/// Length, batches and machine of a training; the table `[run]` of its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSettings {
    /// Seed of every random choice.
    pub seed: u64,
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    pub device: String,
    /// Threads of libtorch on the CPU; 0 leaves the choice to it.
    pub threads: usize,
    /// How convolutions lie in memory on the CPU. A run keeps to what it began with; set it to go on with the same bits on another machine.
    pub layout: LayoutSetting,
    /// Passes over the training samples (paper: 10 of a search, 100 of a fusion network).
    pub epochs: usize,
    /// Iterations in all, in place of `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterations: Option<usize>,
    /// Samples in a batch (published: 8).
    pub batch: usize,
    /// Of several ranks (docs/ranks.md): whose part of a batch the normalisations take their statistics from.
    #[serde(skip_serializing_if = "NormStatistics::is_usual")]
    pub norm_statistics: NormStatistics,
    /// What a network is trained on (published: 320×320): crops of pairs, or whole images fitted into it. `[width, height]` in files.
    #[serde(with = "caf_geometry::size::as_pair")]
    pub size_px: Size,
    /// Iterations between two checkpoints; 1 loses at most the running iteration.
    pub save_every: usize,
}

impl Default for RunSettings {
    /// Those of a search.
    fn default() -> Self {
        RunSettings {
            seed: 1,
            device: "auto".to_owned(),
            threads: 0,
            layout: LayoutSetting::Auto,
            epochs: 10,
            iterations: None,
            batch: 8,
            norm_statistics: NormStatistics::All,
            size_px: Size::new(320, 320),
            save_every: 1,
        }
    }
}

impl RunSettings {
    /// Settings that may change between a stop and a resume without changing any result, as named in the whole configuration.
    pub(crate) const FREE: [&str; 4] = ["run.save_every", "run.device", "run.threads", "run.layout"];

    /// Refuses what cannot be worked through; `sides` are those of the images that are trained on.
    pub(crate) fn check(&self, sides: Sides) -> Result<(), SearchError> {
        require_count("run.epochs", self.epochs)?;
        require_count("run.iterations", self.iterations.unwrap_or(1))?;
        require_count("run.save_every", self.save_every)?;
        require_batch("run.batch", self.batch)?;
        require_parts("run.batch", self.batch)?;
        require("run.threads", self.threads <= MAX_THREADS, &format!("at most {MAX_THREADS}"), self.threads)?;
        require_size("run.size_px", sides, self.size_px)?;
        let cells = self.size_px.wh().map(|side| side / sides.multiple_of_px).into_iter().product::<usize>();
        require("run.batch", self.batch * cells > 1, TWO_VALUES, self.batch)
    }

    /// The device of the run, with what else the settings decide of this thread's computing.
    ///
    /// # Errors
    /// As [`prepare_device`].
    pub(crate) fn prepare(&self) -> Result<Device, TorchError> {
        set_own_statistics(self.norm_statistics == NormStatistics::Own);
        prepare_device(&self.device, self.threads)
    }

    /// Iterations of an epoch of so many samples.
    pub(crate) fn iterations_per_epoch(&self, samples: usize) -> usize {
        samples.div_ceil(self.batch.max(1)).max(1)
    }

    /// Iterations in all.
    pub(crate) fn end(&self, samples: usize) -> usize {
        self.iterations.unwrap_or_else(|| self.epochs.saturating_mul(self.iterations_per_epoch(samples)))
    }
}

/// Whose part of a batch gives the statistics that networks are normalised by in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormStatistics {
    /// The parts of all ranks: a run of several ranks gives what one rank with the same batch gives.
    #[default]
    All,
    /// Each rank's own part: two sums over the ranks fewer for every normalisation, and other results.
    Own,
}

impl NormStatistics {
    fn is_usual(&self) -> bool {
        *self == NormStatistics::All
    }
}

/// Where samples come from; the table `[data]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSettings {
    /// Folder of the data set.
    pub root: PathBuf,
    /// Names that may be trained on, relative to the root; all pairs without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<PathBuf>,
    /// Names to validate on. A search moves β by their task loss, and halves the training names without it, neighbouring frames
    /// staying together; a training of the fusion network validates nothing without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val: Option<PathBuf>,
    /// Whether pairs may be both trained and validated on, which is refused otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_overlap: bool,
    /// When halving: names whose numbers differ by at most this stay together. 0 where every pair is a scene of its own.
    pub neighbour_gap: u64,
    /// Name of the layout that the data set lies in on disk; recognised without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// How 16-bit infrared becomes [0, 1].
    pub ir_range: IrRange,
    /// Form of the saliency weights.
    pub saliency: SaliencyForm,
    /// Share of a search's crops that are placed on an object, 0–1; the others, all by default, lie anywhere. Worth raising where
    /// crops are small: a detector's loss on a crop without objects says little about fusion.
    pub crops_on_objects: f64,
    /// Whether the task of a search sees the fused image with the colours of the visible one; in gray otherwise.
    pub colour: bool,
    /// Memory for decoded images, MiB.
    pub cache_mib: usize,
    /// Threads that prepare batches.
    pub workers: usize,
}

impl Default for DataSettings {
    fn default() -> Self {
        DataSettings {
            root: PathBuf::from("data"),
            train: None,
            val: None,
            allow_overlap: false,
            neighbour_gap: 10,
            layout: None,
            ir_range: IrRange::default(),
            saliency: SaliencyForm::default(),
            crops_on_objects: 0.0,
            colour: true,
            cache_mib: 2048,
            workers: 2,
        }
    }
}

impl DataSettings {
    /// Settings that may change between a stop and a resume, as named in the whole configuration.
    pub(crate) const FREE: [&str; 3] = ["data.cache_mib", "data.workers", "data.allow_overlap"];

    /// Refuses settings out of range.
    pub(crate) fn check(&self) -> Result<(), SearchError> {
        let share = self.crops_on_objects;
        require("data.crops_on_objects", (0.0..=1.0).contains(&share), "0 to 1", share)?;
        let workers = (1..=MAX_WORKERS).contains(&self.workers);
        require("data.workers", workers, &format!("1 to {MAX_WORKERS}"), self.workers)?;
        Ok(self.ir_range.validate().map_err(caf_data::DataError::from)?)
    }

    /// The pairs of a list, or all, with what a task learns from.
    pub(crate) fn open(&self, list: Option<&Path>, annotation: Option<Annotation>) -> Result<Dataset, SearchError> {
        let list = list.map(Path::to_owned);
        let options = match annotation {
            Some(annotation) => annotation.options(list, self.ir_range, self.layout.clone()),
            None => DatasetOptions {
                list,
                labels: Need::Ignore,
                masks: Need::Ignore,
                ir_range: self.ir_range,
                layout: self.layout.clone(),
            },
        };
        Ok(Dataset::open(&self.root, &options)?)
    }

    /// Memory for decoded images.
    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache_mib.saturating_mul(1 << 20)
    }
}

/// How the fusion network moves; the table `[fusion]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FusionSettings {
    /// Which network: `kind` (`caf` where there is none) and its own settings.
    pub network: FusionConfig,
    /// Adam's learning rate (paper: 1e-4).
    pub rate: f64,
    /// Share of it left in the last iteration; in between it falls linearly. Without it the rate stays, as in the paper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_share: Option<f64>,
    /// Weights to start from; fresh ones without it. They bring their network along; another one in `network` is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
}

impl Default for FusionSettings {
    fn default() -> Self {
        FusionSettings { network: FusionConfig::default(), rate: 1e-4, final_share: None, init: None }
    }
}

impl FusionSettings {
    /// The rate of the iteration after `done` of `end`.
    pub(crate) fn rate_after(&self, done: usize, end: usize) -> f64 {
        let part = done as f64 / end.saturating_sub(1).max(1) as f64;
        self.rate * self.final_share.map_or(1.0, |share| 1.0 - (1.0 - share) * part.min(1.0))
    }

    /// Refuses settings out of range, also those of the network.
    pub(crate) fn check(&self, size: Size) -> Result<(), SearchError> {
        require_positive("fusion.rate", self.rate)?;
        self.final_share.map_or(Ok(()), |share| {
            require("fusion.final_share", share > 0.0 && share <= 1.0, "a number above 0 and at most 1", share)
        })?;
        self.network.graph().map_err(|error| SearchError::Setting {
            name: "fusion.network",
            expected: "a network that can be built".to_owned(),
            found: error.to_string(),
        })?;
        let sides = self.network.sides();
        for side in size.wh() {
            let expected = || format!("{sides}, which {} takes", self.network.kind());
            require("run.size_px", sides.allow(side), &expected(), side)?;
        }
        Ok(())
    }

    /// The network at its start, for infrared of a range, which must be that of the starting weights where these say one.
    pub(crate) fn start(&self, seed: u64, range: IrRange, device: Device) -> Result<FusionNet, SearchError> {
        match &self.init {
            Some(path) => {
                let net = FusionNet::read_as(path, &self.network, device)?;
                ir_range::agreed(ir_range::SETTING, Some(range), net.ir_range(), path)?;
                Ok(net)
            }
            None => FusionNet::fresh(self.network.clone(), seed, device),
        }
    }
}

/// What is asked of a batch when an image is a single cell of the coarsest level: one value has no variance to normalise by.
const TWO_VALUES: &str = "at least 2, or larger images: a single image of this size cannot be normalised";
/// Largest side of a crop or network input.
const MAX_SIDE_PX: usize = 8192;
/// Most threads of libtorch: the thread pool of more would end the program.
const MAX_THREADS: usize = 1024;
/// Largest batch: the memory of a larger one would end the program.
const MAX_BATCH: usize = 4096;
/// Most threads that prepare batches.
const MAX_WORKERS: usize = 256;
/// Most epochs or iterations: products of them must be countable.
const MAX_COUNT: usize = 1_000_000_000;

/// The device of that name (`cpu`, `cuda`, `cuda:N` or `auto`), with libtorch's threads on the CPU set; 0 leaves their number to it.
/// `cuda` and `auto` are the GPU with the number that a rank has among those of its machine.
///
/// # Errors
/// For an unknown name, and when a GPU or libtorch's CUDA half is missing.
pub(crate) fn prepare_device(name: &str, threads: usize) -> Result<Device, TorchError> {
    let device = match (device_from_name(name)?, caf_ranks::local_rank()) {
        (Device::Cuda(_), Some(own)) if !name.contains(':') => device_from_name(&format!("cuda:{own}"))?,
        (device, _) => device,
    };
    if threads > 0 {
        tch::set_num_threads(i32::try_from(threads.min(MAX_THREADS)).unwrap_or(1));
    }
    Ok(device)
}

/// [`SearchError::Setting`] unless `holds`.
pub(crate) fn require(
    name: &'static str,
    holds: bool,
    expected: &str,
    found: impl std::fmt::Display,
) -> Result<(), SearchError> {
    if holds {
        return Ok(());
    }
    Err(SearchError::Setting { name, expected: expected.to_owned(), found: found.to_string() })
}

/// [`require`] for the size of what is trained or measured on.
pub(crate) fn require_size(name: &'static str, sides: Sides, size: Size) -> Result<(), SearchError> {
    let expected = format!("{sides}, at most {MAX_SIDE_PX} px");
    size.wh().into_iter().try_for_each(|side| require(name, sides.allow(side) && side <= MAX_SIDE_PX, &expected, side))
}

/// [`require`] for a number above 0.
pub(crate) fn require_positive(name: &'static str, value: f64) -> Result<(), SearchError> {
    require(name, value.is_finite() && value > 0.0, "a number above 0", value)
}

/// [`require`] for a number of at least 0.
pub(crate) fn require_not_negative(name: &'static str, value: f64) -> Result<(), SearchError> {
    require(name, value.is_finite() && value >= 0.0, "a number of at least 0", value)
}

/// [`require`] for a number of epochs or iterations.
pub(crate) fn require_count(name: &'static str, n: usize) -> Result<(), SearchError> {
    require(name, (1..=MAX_COUNT).contains(&n), &format!("1 to {MAX_COUNT}"), n)
}

/// [`require`] for a batch that all ranks have equal parts of.
pub(crate) fn require_parts(name: &'static str, n: usize) -> Result<(), SearchError> {
    let ranks = caf_ranks::size();
    require(name, n.is_multiple_of(ranks), &format!("a multiple of the {ranks} ranks"), n)
}

/// [`require`] for a number of samples in a batch.
pub(crate) fn require_batch(name: &'static str, n: usize) -> Result<(), SearchError> {
    require(name, (1..=MAX_BATCH).contains(&n), &format!("1 to {MAX_BATCH}"), n)
}
