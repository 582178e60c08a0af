//! A thread that prepares batches ahead of the loop that uses them.

use super::batch::{HostBatch, PairBatch};
use super::plan::CropPlan;
use super::store::PairStore;
use crate::error::SearchError;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tch::{Device, Kind};

/// Batches kept ready.
const AHEAD: usize = 2;

/// Yields the batches of consecutive iterations. The thread ends when the feed is dropped.
#[derive(Debug)]
pub struct Feed {
    first: Option<HostBatch>,
    batches: Receiver<Result<HostBatch, SearchError>>,
}

impl Feed {
    /// Prepares the batch of iteration `first`, and starts to prepare the others, up to but without `end`.
    ///
    /// # Errors
    /// When a pair of the first batch cannot be read, so that it is told before anything else is done; when no thread can be
    /// started.
    pub fn start(store: Arc<PairStore>, plan: CropPlan, first: usize, end: usize) -> Result<Self, SearchError> {
        let ready = if first < end { Some(HostBatch::load(&store, &plan, first)?) } else { None };
        let (sender, batches) = sync_channel(AHEAD);
        let path = store.dataset().root().to_owned();
        std::thread::Builder::new()
            .name("pairs".to_owned())
            .spawn(move || prepare(&store, &plan, first.saturating_add(1)..end, &sender))
            .map_err(SearchError::io("start a thread for", &path))?;
        Ok(Feed { first: ready, batches })
    }

    /// The next batch, on a device.
    ///
    /// # Errors
    /// When a pair of it cannot be read, when libtorch refuses, and past the last batch.
    pub fn next_batch(&mut self, device: Device, kind: Kind) -> Result<PairBatch, SearchError> {
        let host = match self.first.take() {
            Some(host) => host,
            None => self.batches.recv().map_err(|_| SearchError::FeedGone)??,
        };
        PairBatch::new(host, device, kind)
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
