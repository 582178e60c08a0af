//! The pairs of a search: one half trains the networks, the task's loss on the other moves β.

use super::config::SearchConfig;
use crate::apart::require_apart;
use crate::error::SearchError;
use crate::loader::{Feed, HostPairs, Order, PairBatches, PairStore, Stream, check_crop};
use crate::state::fingerprint;
use caf_console::Progress;
use caf_data::Dataset;
use caf_data::augment::CropSettings;
use caf_data::split::{Scenes, SplitSettings, split};
use caf_image::list::write_names;
use std::path::Path;
use std::sync::Arc;

/// Both halves, apart from each other, each with something for the task.
pub(super) struct Halves {
    pub train: Dataset,
    val: Dataset,
    /// Class names of the task by number.
    pub classes: Vec<String>,
    /// Whether the search made them itself out of one list.
    made: bool,
}

impl Halves {
    /// Opens the lists, or halves the one there is. Reads all pixels, to find pairs that are in both.
    pub fn open(config: &SearchConfig, progress: &dyn Progress) -> Result<Self, SearchError> {
        let data = &config.data;
        let annotation = config.task.kind().annotation;
        let whole = data.open(data.train.as_deref(), Some(annotation))?;
        let (train, val, made) = match &data.val {
            Some(list) => (whole, data.open(Some(list), Some(annotation))?, false),
            None => {
                let names: Vec<String> = whole.names().map(str::to_owned).collect();
                let settings = SplitSettings {
                    val_fraction: 0.5,
                    seed: config.run.seed,
                    neighbour_gap: data.neighbour_gap,
                    ..SplitSettings::default()
                };
                let parts = split(&Scenes::by_number(&names, data.neighbour_gap, settings.longest_scene), &settings)?;
                let (train, val) = (parts.train.len(), parts.val.len());
                progress.say(&format!("halved {} pairs: {train} train, {val} validate", names.len()));
                (whole.part(&parts.train)?, whole.part(&parts.val)?, true)
            }
        };
        annotation.require(&train, "train on")?;
        annotation.require(&val, "validate on")?;
        check_crop(&[&train, &val], config.run.size_px, progress)?;
        require_apart(data, &train, &val, progress)?;
        Ok(Halves { classes: annotation.classes(&train).to_vec(), train, val, made })
    }

    /// What a resumed search compares of the pairs.
    pub fn fingerprints(&self) -> [(&'static str, String); 2] {
        [("training pairs", fingerprint(&self.train)), ("validation pairs", fingerprint(&self.val))]
    }

    /// Writes `train.txt` and `val.txt`, when the search made them.
    pub fn write_lists(&self, out: &Path) -> Result<(), SearchError> {
        if self.made {
            for (file, half, what) in [
                ("train.txt", &self.train, "pairs that train the networks"),
                ("val.txt", &self.val, "pairs that move beta"),
            ] {
                let names: Vec<String> = half.names().map(str::to_owned).collect();
                write_names(&out.join(file), what, &names)?;
            }
        }
        Ok(())
    }

    /// Batches of both halves, from the first up to but without the end: of training, counted by iterations, and for β, counted by
    /// β steps.
    pub fn feeds(
        &self,
        config: &SearchConfig,
        iterations: [usize; 2],
        beta_steps: [usize; 2],
    ) -> Result<[Feed<HostPairs>; 2], SearchError> {
        let (run, data) = (&config.run, &config.data);
        let feed = |half: &Dataset, stream, batch, range| {
            let object_probability = data.crops_on_objects;
            let batches = PairBatches {
                store: Arc::new(PairStore::new(
                    half.clone(),
                    data.saliency,
                    self.classes.len(),
                    data.cache_bytes() / 2,
                )),
                order: Order { seed: run.seed, stream, samples: half.len(), batch },
                crop: CropSettings { size: run.size_px, mirror_probability: 0.5, object_probability },
                jitter: 0.0,
            };
            Feed::start(move |iteration| batches.load(iteration), range, data.workers, half.root())
        };
        let of_beta = config.beta.batch.unwrap_or(run.batch);
        Ok([
            feed(&self.train, Stream::Train, run.batch, iterations)?,
            feed(&self.val, Stream::Validation, of_beta, beta_steps)?,
        ])
    }
}
