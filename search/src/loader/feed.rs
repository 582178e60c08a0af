//! Threads that prepare batches ahead of the loop that uses them.

use crate::error::SearchError;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Prepared batches that may wait for each thread.
const WAITING: usize = 1;

/// Yields the batches of consecutive iterations. The threads end when the feed is dropped.
#[derive(Debug)]
pub struct Feed<B> {
    first: Option<B>,
    batches: Vec<Receiver<Result<B, SearchError>>>,
    turn: usize,
}

impl<B: Send + 'static> Feed<B> {
    /// Prepares the batch of iteration `first` with `make`, and starts to prepare the others, up to but without `end`, in
    /// `workers` threads. `place` is named when no thread can be started.
    ///
    /// # Errors
    /// When the first batch cannot be made, so that it is told before anything else is done; when no thread can be started.
    pub fn start(
        make: impl Fn(usize) -> Result<B, SearchError> + Send + Sync + 'static,
        [first, end]: [usize; 2],
        workers: usize,
        place: &Path,
    ) -> Result<Self, SearchError> {
        let ready = if first < end { Some(make(first)?) } else { None };
        let make = Arc::new(make);
        let rest = first.saturating_add(1)..end;
        let mut batches = Vec::new();
        for worker in 0..workers.clamp(1, rest.len().max(1)) {
            let (sender, receiver) = sync_channel(WAITING);
            let (make, mine) = (Arc::clone(&make), rest.clone().skip(worker).step_by(workers.max(1)));
            std::thread::Builder::new()
                .name(format!("batches {worker}"))
                .spawn(move || prepare(&*make, mine, &sender))
                .map_err(SearchError::io("start a thread for", place))?;
            batches.push(receiver);
        }
        Ok(Feed { first: ready, batches, turn: 0 })
    }

    /// The next batch.
    ///
    /// # Errors
    /// When it could not be made, and past the last batch.
    pub fn next_batch(&mut self) -> Result<B, SearchError> {
        if let Some(batch) = self.first.take() {
            return Ok(batch);
        }
        let receiver = self.batches.get(self.turn % self.batches.len().max(1)).ok_or(SearchError::FeedGone)?;
        self.turn += 1;
        receiver.recv().map_err(|_| SearchError::FeedGone)?
    }
}

fn prepare<B>(
    make: &dyn Fn(usize) -> Result<B, SearchError>,
    iterations: impl Iterator<Item = usize>,
    sender: &SyncSender<Result<B, SearchError>>,
) {
    for iteration in iterations {
        let batch = make(iteration);
        let failed = batch.is_err();
        // A closed channel means that the loop is over.
        if sender.send(batch).is_err() || failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_come_in_order_whatever_the_number_of_threads_and_failures_in_their_place() {
        for workers in [1, 2, 3, 9] {
            let make = |i: usize| if i == 8 { Err(SearchError::Interrupted) } else { Ok(i) };
            let mut feed = Feed::start(make, [2, 20], workers, Path::new("x")).unwrap();
            for i in 2..8 {
                assert_eq!(feed.next_batch().unwrap(), i, "{workers}");
            }
            assert!(matches!(feed.next_batch(), Err(SearchError::Interrupted)));
        }
        let mut none = Feed::start(Ok, [3, 3], 2, Path::new("x")).unwrap();
        assert!(matches!(none.next_batch(), Err(SearchError::FeedGone)));
        assert!(Feed::start(|_| Err::<(), _>(SearchError::Interrupted), [0, 1], 1, Path::new("x")).is_err());
    }
}
