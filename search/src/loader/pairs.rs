//! Pairs for the networks: prepared once, cropped at random.

use super::annotations::{Annotated, Annotations, checked_mask};
use super::cache::{Bytes, Cache};
use super::order::Order;
use crate::error::SearchError;
use caf_console::Progress;
use caf_data::Dataset;
use caf_data::augment::{CropSettings, Tone};
use caf_data::view::BORDER;
use caf_fusion_loss::saliency::{SaliencyForm, infrared_weight};
use caf_geometry::Size;
use caf_image::color::quantized;
use caf_image::{Plane, Rgb8, color};
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// A pair ready to be cropped.
#[derive(Clone, Debug)]
pub struct PreparedPair {
    /// Name without extension.
    pub name: String,
    /// Infrared in [0, 1].
    pub ir: Plane,
    /// Visible.
    pub vi: Rgb8,
    /// Saliency weight of infrared, w_ir in [0, 1], computed on the whole 8-bit images.
    pub saliency: Plane,
    /// What it is labelled with.
    pub annotated: Annotated,
}

impl Bytes for PreparedPair {
    fn bytes(&self) -> usize {
        let pixels = self.ir.width() * self.ir.height();
        pixels * (2 * size_of::<f32>() + 3 + usize::from(self.annotated.mask.is_some()))
    }
}

/// Loads pairs of one data set and keeps those that fit into its memory.
#[derive(Debug)]
pub struct PairStore {
    dataset: Dataset,
    form: SaliencyForm,
    mask_classes: usize,
    cache: Cache<PreparedPair>,
}

impl PairStore {
    /// A store that keeps at most `limit` bytes of pairs. Masks, where the data set was opened with them, have so many classes.
    pub fn new(dataset: Dataset, form: SaliencyForm, mask_classes: usize, limit: usize) -> Self {
        PairStore { dataset, form, mask_classes, cache: Cache::new(limit) }
    }

    /// The pairs' files and labels.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Pair `index`, from memory or disk.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn get(&self, index: usize) -> Result<Arc<PreparedPair>, SearchError> {
        self.cache.get(index, || self.prepare(index))
    }

    fn prepare(&self, index: usize) -> Result<PreparedPair, SearchError> {
        let sample = self.dataset.load(index)?;
        let luma = sample.vi_luma();
        let [ir, vi] = [&sample.ir, &luma].map(quantized);
        let path = self.dataset.entries().get(index).and_then(|entry| entry.mask.as_deref()).unwrap_or(Path::new(""));
        let mask = sample.mask.map(|mask| checked_mask(mask, self.mask_classes, path)).transpose()?;
        let weights = infrared_weight(ir.data(), vi.data(), self.form)?;
        Ok(PreparedPair {
            name: sample.name,
            saliency: Plane::new(sample.ir.size(), weights)?,
            ir: sample.ir,
            vi: sample.vi,
            annotated: Annotated { labels: sample.labels, ignore: sample.ignore, mask },
        })
    }
}

/// How batches of crops are drawn from pairs.
#[derive(Clone, Debug)]
pub struct PairBatches {
    /// The pairs.
    pub store: Arc<PairStore>,
    /// Which of them, when.
    pub order: Order,
    /// Size and place of the crops.
    pub crop: CropSettings,
    /// How far the tones of infrared and visible luma are changed, each by itself, 0 to 1; see [`Tone::draw`]. Colours above luma and
    /// saliency stay those of the unchanged images.
    pub jitter: f64,
}

/// A batch in host memory, planes row-major one pair after the other.
#[derive(Clone, Debug, Default)]
pub struct HostPairs {
    /// Names of the pairs.
    pub names: Vec<String>,
    /// Size of every plane.
    pub size: Size,
    /// Infrared in [0, 1].
    pub ir: Vec<f32>,
    /// Visible luma in [0, 1].
    pub luma: Vec<f32>,
    /// Visible RGB minus luma, three planes for each pair.
    pub colour: Vec<f32>,
    /// Saliency weight of infrared in [0, 1].
    pub saliency: Vec<f32>,
    /// What they are labelled with.
    pub annotations: Annotations,
}

/// A pair as a crop sees it.
struct Cropped {
    name: String,
    ir: Plane,
    vi: Rgb8,
    saliency: Plane,
    annotated: Annotated,
    /// Of infrared and visible luma.
    tones: [Tone; 2],
}

impl PairBatches {
    /// Loads and crops this rank's part of the pairs of one iteration.
    ///
    /// # Errors
    /// When a pair cannot be read.
    pub fn load(&self, iteration: usize) -> Result<HostPairs, SearchError> {
        let members = self.order.members(iteration);
        let own = caf_ranks::part(members.len());
        let crops: Vec<Cropped> = (members.get(own.clone()).unwrap_or_default().par_iter())
            .zip(own)
            .map(|(index, slot)| self.crop(iteration, slot, *index))
            .collect::<Result<_, SearchError>>()?;
        let size = self.crop.size;
        let mut batch = HostPairs { size, annotations: Annotations::new(size), ..HostPairs::default() };
        for crop in crops {
            let [ir_tone, vi_tone] = crop.tones;
            let luma = color::luma(&crop.vi);
            batch.ir.extend(crop.ir.data().iter().map(|v| ir_tone.of(*v)));
            batch.saliency.extend_from_slice(crop.saliency.data());
            for channel in 0..3 {
                let above = |(rgb, y): (&[u8; 3], &f32)| f32::from(rgb[channel]) / 255.0 - y;
                batch.colour.extend(crop.vi.data().as_chunks::<3>().0.iter().zip(luma.data()).map(above));
            }
            batch.luma.extend(luma.data().iter().map(|v| vi_tone.of(*v)));
            batch.annotations.push(&crop.annotated);
            batch.names.push(crop.name);
        }
        Ok(batch)
    }

    fn crop(&self, iteration: usize, slot: usize, index: usize) -> Result<Cropped, SearchError> {
        let pair = self.store.get(index)?;
        let mut random = self.order.random(iteration, slot);
        // A crop lies within its pair: what the border is shows nowhere.
        let view = self.crop.draw(pair.ir.size(), &pair.annotated.labels, &mut random)?;
        Ok(Cropped {
            name: pair.name.clone(),
            ir: view.render(&pair.ir, 0.0)?,
            vi: view.render(&pair.vi, BORDER)?,
            saliency: view.render(&pair.saliency, 0.5)?,
            annotated: pair.annotated.seen(&view)?,
            tones: [Tone::draw(self.jitter, &mut random), Tone::draw(self.jitter, &mut random)],
        })
    }
}

/// A batch on a device; planes are `[n, 1, h, w]`.
#[derive(Debug)]
pub struct PairBatch {
    /// Names of the pairs.
    pub names: Vec<String>,
    /// Infrared in [0, 1].
    pub ir: Tensor,
    /// Visible luma in [0, 1].
    pub vi: Tensor,
    /// Visible RGB minus luma, `[n, 3, h, w]`: added to a fused luma it gives the fused colour image, since Cb and Cr are kept.
    pub colour: Tensor,
    /// Saliency weight of infrared in [0, 1].
    pub saliency: Tensor,
    /// What they are labelled with.
    pub annotations: Annotations,
}

impl PairBatch {
    /// Copies a batch to a device.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn new(host: HostPairs, device: Device, kind: Kind) -> Result<Self, SearchError> {
        let n = host.names.len();
        let plane = |values: &[f32], channels| {
            plane_tensor(values, [n, channels, host.size.height, host.size.width], device, kind)
        };
        Ok(PairBatch {
            ir: plane(&host.ir, 1)?,
            vi: plane(&host.luma, 1)?,
            colour: plane(&host.colour, 3)?,
            saliency: plane(&host.saliency, 1)?,
            names: host.names,
            annotations: host.annotations,
        })
    }
}

/// Row-major values as a tensor of the given shape.
///
/// # Errors
/// When their number does not fit or memory runs out.
pub fn plane_tensor(values: &[f32], shape: [usize; 4], device: Device, kind: Kind) -> Result<Tensor, SearchError> {
    let shape = shape.map(|n| n as i64);
    Ok(Tensor::f_from_slice(values)?.f_reshape(shape)?.f_to_kind(kind)?.f_to_device(device)?)
}

/// How many small pairs a note names.
const NAMED: usize = 3;

/// Says how many pairs are smaller than the crop: they are enlarged, just enough to cover it. Published sets
/// mix sizes, so that a few small pairs are no reason to stop; a run in which every pair is one would learn from interpolated
/// pixels alone.
///
/// # Errors
/// [`SearchError::Crop`] when all pairs are smaller.
pub fn check_crop(sets: &[&Dataset], crop: Size, progress: &dyn Progress) -> Result<(), SearchError> {
    let entries = || sets.iter().flat_map(|set| set.entries());
    let small: Vec<_> = entries().filter(|e| e.size.width < crop.width || e.size.height < crop.height).collect();
    let all = entries().count();
    if small.is_empty() {
        return Ok(());
    }
    if small.len() == all {
        let largest = small.iter().map(|e| e.size).max_by_key(|size| size.pixels()).unwrap_or_default();
        let root = sets.first().map(|set| set.root().to_owned()).unwrap_or_default();
        return Err(SearchError::Crop { root, pairs: all, crop, largest });
    }
    let factor = |size: Size| (crop.width as f64 / size.width as f64).max(crop.height as f64 / size.height as f64);
    let most = small.iter().map(|e| factor(e.size)).fold(1.0, f64::max);
    let names: Vec<String> = small.iter().take(NAMED).map(|e| format!("{} {}", e.name, e.size)).collect();
    let more = if small.len() > NAMED { ", …" } else { "" };
    progress.say(&format!(
        "{} of {all} pairs are smaller than the crop of {crop} and enlarged to cover it, by up to {most:.2}: {}{more}",
        small.len(),
        names.join(", ")
    ));
    Ok(())
}
