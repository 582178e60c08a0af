//! A thread that prepares batches ahead of the loop that uses them.

use super::batch::HostBatch;
use super::plan::CropPlan;
use super::store::PairStore;
use crate::error::SearchError;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Batches kept ready.
const AHEAD: usize = 2;

/// Yields the batches of consecutive iterations. The thread ends when the feed is dropped.
#[derive(Debug)]
pub struct Feed {
    batches: Receiver<Result<HostBatch, SearchError>>,
}

impl Feed {
    /// Starts preparing at iteration `first`, up to but without `end`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(store: Arc<PairStore>, plan: CropPlan, first: usize, end: usize) -> Result<Self, SearchError> {
        let (sender, batches) = sync_channel(AHEAD);
        let path = store.dataset().root().to_owned();
        std::thread::Builder::new()
            .name("pairs".to_owned())
            .spawn(move || prepare(&store, &plan, first..end, &sender))
            .map_err(SearchError::io("start a thread for", &path))?;
        Ok(Feed { batches })
    }

    /// The next batch; `None` after the last.
    ///
    /// # Errors
    /// When a pair of it cannot be read.
    pub fn next_batch(&self) -> Result<Option<HostBatch>, SearchError> {
        self.batches.recv().ok().transpose()
    }
}

fn prepare(
    store: &PairStore,
    plan: &CropPlan,
    iterations: std::ops::Range<usize>,
    sender: &SyncSender<Result<HostBatch, SearchError>>,
) {
    for iteration in iterations {
        let batch = HostBatch::load(store, plan, iteration);
        let failed = batch.is_err();
        // A closed channel means that the loop is over.
        if sender.send(batch).is_err() || failed {
            return;
        }
    }
}
