//! What a search and a training of the fusion network have in common: where pairs come from, the network, how long it takes and
//! on what batches.

use crate::device::MAX_THREADS;
use crate::error::SearchError;
use crate::fusion_net::FusionNet;
use crate::pairs::{CropPlan, Stream};
use caf_data::augment::CropSettings;
use caf_data::{Dataset, DatasetOptions, IrRange, Need};
use caf_fusion_loss::saliency::SaliencyForm;
use caf_net::zoo::fusion::FusionConfig;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tch::Device;

/// Where pairs come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSettings {
    /// Folder in the plain layout.
    pub root: PathBuf,
    /// Names that may be used, relative to the root; all pairs without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<PathBuf>,
    /// Names to validate on. A search moves β by their task loss, and halves the training names without it, neighbouring frames
    /// staying together; a training of the fusion network validates nothing without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val: Option<PathBuf>,
    /// When halving: names whose numbers differ by at most this stay together. 0 where every pair is a scene of its own.
    pub neighbour_gap: u64,
    /// How 16-bit infrared becomes [0, 1].
    pub ir_range: IrRange,
    /// Form of the saliency masks.
    pub saliency: SaliencyForm,
    /// Memory for decoded pairs, MiB.
    pub cache_mib: usize,
}

impl Default for DataSettings {
    fn default() -> Self {
        DataSettings {
            root: PathBuf::from("data"),
            train: None,
            val: None,
            neighbour_gap: 10,
            ir_range: IrRange::default(),
            saliency: SaliencyForm::default(),
            cache_mib: 2048,
        }
    }
}

impl DataSettings {
    /// The pairs of a list, or all.
    pub(crate) fn open(&self, list: Option<&Path>, labels: Need) -> Result<Dataset, SearchError> {
        let (list, ir_range) = (list.map(Path::to_owned), self.ir_range);
        let options = DatasetOptions { list, labels, ir_range, ..DatasetOptions::default() };
        Ok(Dataset::open(&self.root, &options)?)
    }

    /// Memory for decoded pairs.
    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache_mib.saturating_mul(1 << 20)
    }
}

/// How the fusion network moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FusionSettings {
    /// Which network: `kind` (`caf` where there is none) and its own settings.
    pub network: FusionConfig,
    /// Adam's learning rate (paper: 1e-4).
    pub rate: f64,
    /// Weights to start from; fresh ones without it. They bring their network along; another one in `network` is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
}

impl Default for FusionSettings {
    fn default() -> Self {
        FusionSettings { network: FusionConfig::default(), rate: 1e-4, init: None }
    }
}

impl FusionSettings {
    /// Refuses settings out of range, also those of the network.
    pub(crate) fn check(&self, crop_px: [usize; 2]) -> Result<(), SearchError> {
        require_positive("fusion.rate", self.rate)?;
        self.network.graph()?;
        let sides = self.network.sides();
        for side in crop_px {
            let expected = || format!("{sides}, which {} takes", self.network.kind());
            require("crop_px", sides.allows(side), &expected(), side)?;
        }
        Ok(())
    }

    /// The network at its start.
    pub(crate) fn start(&self, seed: u64, device: Device) -> Result<FusionNet, SearchError> {
        match &self.init {
            Some(path) => FusionNet::read_as(path, &self.network, device),
            None => FusionNet::fresh(self.network.clone(), seed, device),
        }
    }
}

/// Sides that crops may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides {
    /// Smallest side, px.
    pub least: usize,
    /// Every side is a multiple of this, px: the stride of the coarsest level that is normalised.
    pub multiple_of: usize,
}

/// Length and batches of a run on crops of pairs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub seed: u64,
    pub threads: usize,
    pub epochs: usize,
    pub iterations: Option<usize>,
    pub batch: usize,
    pub crop_px: [usize; 2],
    /// Share of the crops that are placed on an object.
    pub crops_on_objects: f64,
    pub save_every: usize,
}

impl Course {
    /// Refuses what cannot be worked through.
    pub fn check(&self, sides: Sides) -> Result<(), SearchError> {
        let count = format!("1 to {MAX_COUNT}");
        let counted = |name, n: usize| require(name, (1..=MAX_COUNT).contains(&n), &count, n);
        require("batch", (1..=MAX_BATCH).contains(&self.batch), &format!("1 to {MAX_BATCH}"), self.batch)?;
        counted("epochs", self.epochs)?;
        counted("iterations", self.iterations.unwrap_or(1))?;
        counted("save_every", self.save_every)?;
        require("threads", self.threads <= MAX_THREADS, &format!("at most {MAX_THREADS}"), self.threads)?;
        let share = self.crops_on_objects;
        require("crops_on_objects", (0.0..=1.0).contains(&share), "0 to 1", share)?;
        let Sides { least, multiple_of } = sides;
        for side in self.crop_px {
            let fits = (least..=MAX_SIDE_PX).contains(&side) && side.is_multiple_of(multiple_of);
            require("crop_px", fits, &format!("multiples of {multiple_of} from {least} to {MAX_SIDE_PX}"), side)?;
        }
        let cells = self.crop_px.map(|side| side / multiple_of.max(1)).into_iter().product::<usize>();
        require("batch", self.batch * cells > 1, NOT_ALONE, self.batch)
    }

    /// Crops of so many pairs.
    pub fn plan(&self, stream: Stream, pairs: usize) -> CropPlan {
        let [width_px, height_px] = self.crop_px;
        let object_probability = self.crops_on_objects;
        let crop = CropSettings { width_px, height_px, mirror_probability: 0.5, object_probability };
        CropPlan { seed: self.seed, stream, pairs, batch: self.batch, crop }
    }

    /// Iterations of an epoch of so many pairs.
    pub fn iterations_per_epoch(&self, pairs: usize) -> usize {
        pairs.div_ceil(self.batch.max(1)).max(1)
    }

    /// Iterations in all.
    pub fn end(&self, pairs: usize) -> usize {
        self.iterations.unwrap_or_else(|| self.epochs.saturating_mul(self.iterations_per_epoch(pairs)))
    }
}

/// What is asked of a batch when an image is a single cell of the coarsest level: one value has no variance to normalise by.
pub(crate) const NOT_ALONE: &str = "at least 2 images of 32x32 px (one alone cannot be normalised), or larger ones";
/// Largest side of a crop or network input.
pub(crate) const MAX_SIDE_PX: usize = 8192;
/// Largest batch: more is a slip of the pen, and its memory would end the program.
pub(crate) const MAX_BATCH: usize = 4096;
/// Most epochs or iterations: products of them must be countable.
pub(crate) const MAX_COUNT: usize = 1_000_000_000;

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

/// [`require`] for a number above 0.
pub(crate) fn require_positive(name: &'static str, value: f64) -> Result<(), SearchError> {
    require(name, value.is_finite() && value > 0.0, "a number above 0", value)
}
