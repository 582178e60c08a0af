//! Pairs with their saliency, kept in memory as far as a limit allows.

use crate::error::SearchError;
use caf_data::color::Quantize;
use caf_data::{Dataset, Label, Plane, Rgb8};
use caf_fusion_loss::saliency::{SaliencyForm, infrared_weight};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

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
    pub mask: Plane,
    /// Objects.
    pub labels: Vec<Label>,
    /// Regions that are neither right nor wrong.
    pub ignore: Vec<Label>,
}

impl PreparedPair {
    fn bytes(&self) -> usize {
        let pixels = self.ir.width() * self.ir.height();
        pixels * (2 * size_of::<f32>() + 3)
    }
}

/// Loads pairs of one data set and keeps those that fit into its memory.
#[derive(Debug)]
pub struct PairStore {
    dataset: Dataset,
    form: SaliencyForm,
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    pairs: HashMap<usize, Arc<PreparedPair>>,
    bytes: usize,
}

impl PairStore {
    /// A store that keeps at most `limit` bytes of pairs.
    pub fn new(dataset: Dataset, form: SaliencyForm, limit: usize) -> Self {
        PairStore { dataset, form, limit, kept: Mutex::new(Kept::default()) }
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
        if let Ok(kept) = self.kept.lock()
            && let Some(pair) = kept.pairs.get(&index)
        {
            return Ok(Arc::clone(pair));
        }
        let pair = Arc::new(self.prepare(index)?);
        if let Ok(mut kept) = self.kept.lock()
            && kept.bytes + pair.bytes() <= self.limit
            && kept.pairs.insert(index, Arc::clone(&pair)).is_none()
        {
            kept.bytes += pair.bytes();
        }
        Ok(pair)
    }

    fn prepare(&self, index: usize) -> Result<PreparedPair, SearchError> {
        let sample = self.dataset.load(index)?;
        let (width, height) = sample.ir.size_wh();
        let luma = sample.vi_luma();
        let [ir, vi] = [&sample.ir, &luma].map(|plane| Quantize::ClampRound.plane(plane));
        let weights = infrared_weight(ir.data(), vi.data(), self.form)?;
        Ok(PreparedPair {
            name: sample.name,
            mask: Plane::new(width, height, weights)?,
            ir: sample.ir,
            vi: sample.vi,
            labels: sample.labels,
            ignore: sample.ignore,
        })
    }
}
