//! The pairs of a search: one half trains the networks, the task's loss on the other moves β.

use super::config::SearchConfig;
use crate::error::SearchError;
use crate::pairs::{Feed, PairStore, Stream, check_crop};
use crate::state::fingerprint;
use caf_console::Progress;
use caf_data::dataset::write_name_list;
use caf_data::leakage::{LeakageOptions, check_disjoint};
use caf_data::split::{Scenes, SplitSettings, split};
use caf_data::{Dataset, Need};
use std::path::Path;
use std::sync::Arc;

/// Both halves, apart from each other, each with something to detect.
pub(super) struct Halves {
    pub train: Dataset,
    val: Dataset,
    /// Whether the search made them itself out of one list.
    made: bool,
}

impl Halves {
    /// Opens the lists, or halves the one there is. Reads all pixels, to find pairs that are in both.
    pub fn open(config: &SearchConfig, progress: &dyn Progress) -> Result<Self, SearchError> {
        let data = &config.data;
        let whole = data.open(data.train.as_deref(), Need::Required)?;
        let (train, val, made) = match &data.val {
            Some(list) => (whole, data.open(Some(list), Need::Required)?, false),
            None => {
                let names: Vec<String> = whole.names().map(str::to_owned).collect();
                let settings = SplitSettings {
                    val_fraction: 0.5,
                    seed: config.seed,
                    neighbour_gap: data.neighbour_gap,
                    ..SplitSettings::default()
                };
                let parts = split(&Scenes::by_number(&names, data.neighbour_gap, settings.longest_scene), &settings)?;
                let (train, val) = (parts.train.len(), parts.val.len());
                progress.say(&format!("halved {} pairs: {train} train, {val} validate", names.len()));
                (whole.part(&parts.train)?, whole.part(&parts.val)?, true)
            }
        };
        for (what, half) in [("train on", &train), ("validate on", &val)] {
            if half.entries().iter().all(|entry| entry.labels.is_empty()) {
                return Err(SearchError::NoObjects { root: data.root.clone(), pairs: half.len(), what });
            }
        }
        check_crop(&[&train, &val], config.crop_px, progress)?;
        let leaks = check_disjoint(&train, &val, &LeakageOptions::default())?;
        let (near, neighbours) = (leaks.near_pictures.len(), leaks.neighbours.len());
        if near + neighbours > 0 {
            progress.say(&format!(
                "the halves are close: {near} near duplicates, {neighbours} neighbouring frames (`split --check` lists them)"
            ));
        }
        Ok(Halves { train, val, made })
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
                write_name_list(&out.join(file), what, &names)?;
            }
        }
        Ok(())
    }

    /// Batches of both halves from iteration `first` up to but without `end`.
    pub fn feeds(&self, config: &SearchConfig, first: usize, end: usize) -> Result<[Feed; 2], SearchError> {
        let limit = config.data.cache_bytes() / 2;
        let feed = |half: &Dataset, stream| {
            let plan = config.course().plan(stream, half.len());
            Feed::start(Arc::new(PairStore::new(half.clone(), config.data.saliency, limit)), plan, first, end)
        };
        Ok([feed(&self.train, Stream::Train)?, feed(&self.val, Stream::Validation)?])
    }
}
