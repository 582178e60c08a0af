//! A sink's own queue and thread: it gets every result, drops its own, fails for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::Serialize;

use super::kind::{Sent, Sink, SinkError, SinkSpec};
use crate::queue::{Pushed, Queue, WhenFull};
use crate::result::PairResult;
use crate::stats::{Histogram, Percentiles};

/// What became of the results at one sink: `written + undelivered + dropped + missed` are all that were fused.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SinkSummary {
    /// Which kind.
    pub sink: &'static str,
    /// Where to.
    pub place: String,
    /// What did the work, such as an encoder.
    pub method: Option<&'static str>,
    /// Results that are where they should be.
    pub written: u64,
    /// Results that nobody took.
    pub undelivered: u64,
    /// Results given up because newer ones came while the sink was busy.
    pub dropped: u64,
    /// Results that came when the sink had failed, and the one it failed with.
    pub missed: u64,
    /// How long a result took the sink.
    pub write: Percentiles,
    /// Age of a result when it was written: from the arrival of the later frame of its pair.
    pub age: Percentiles,
    /// Why the sink failed.
    pub failure: Option<String>,
}

/// One sink's way from the model.
pub struct SinkLane {
    spec: SinkSpec,
    queue: Queue<Arc<PairResult>>,
    missed: AtomicU64,
}

/// Closes the lane when its thread ends, even by a panic.
struct Closes<'a>(&'a SinkLane);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl SinkLane {
    /// A lane that holds `capacity` results.
    #[must_use]
    pub fn new(spec: SinkSpec, capacity: usize, when_full: WhenFull) -> Self {
        Self { spec, queue: Queue::new(capacity, when_full), missed: AtomicU64::new(0) }
    }

    /// Which kind of sink.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.spec.kind.name()
    }

    /// Hands over a result. Whether a full queue makes the caller wait was said when the lane was made.
    pub fn offer(&self, result: &Arc<PairResult>) {
        if let Pushed::Closed(_) = self.queue.push(0, Arc::clone(result)) {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.queue.close_all();
    }

    /// True when nothing is taken any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed(0)
    }

    /// Results dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.count().dropped
    }

    /// The life of the sink's thread: writes until the lane is closed and empty, then finishes. A sink that fails takes
    /// nothing more, keeps what it can and says so; its results are counted as missed.
    pub fn run(&self, mut sink: Box<dyn Sink>) -> (SinkSummary, Option<SinkError>) {
        let _closes = Closes(self);
        let method = sink.method();
        let (mut written, mut undelivered) = (0, 0);
        let (mut write, mut age) = (Histogram::default(), Histogram::default());
        let mut failure = None;
        while let Some(result) = self.queue.next() {
            let start = Instant::now();
            match sink.write(&result) {
                Ok(sent) => {
                    *(if sent == Sent::Written { &mut written } else { &mut undelivered }) += 1;
                    write.add(start.elapsed());
                    age.add(result.arrived.elapsed());
                }
                Err(error) => {
                    self.close();
                    // What waits is missed as well as the one in hand.
                    let waiting = std::iter::from_fn(|| self.queue.next()).count() as u64;
                    self.missed.fetch_add(waiting + 1, Ordering::Relaxed);
                    tracing::warn!("{}: the sink stops: {error}", self.name());
                    failure = Some(error);
                }
            }
        }
        if let Err(error) = sink.finish() {
            failure.get_or_insert(error);
        }
        let summary = SinkSummary {
            sink: self.name(),
            place: self.spec.place.to_string_lossy().into_owned(),
            method,
            written,
            undelivered,
            dropped: self.dropped(),
            missed: 0,
            write: write.percentiles(),
            age: age.percentiles(),
            failure: failure.as_ref().map(ToString::to_string),
        };
        (summary, failure)
    }

    /// Results that came too late for the sink; final when nothing is offered any more.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}
