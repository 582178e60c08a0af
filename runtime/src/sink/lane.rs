//! A sink's own queue and thread: it gets every result, drops its own, fails for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::Serialize;

use super::error::SinkError;
use super::kind::{Sent, Sink, SinkSpec};
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
    /// A lane in a run whose queues hold `queue` items. Where they drop, the kind of sink says how much waits; where they wait, so
    /// does its own.
    #[must_use]
    pub fn new(spec: SinkSpec, queue: usize, when_full: WhenFull) -> Self {
        let waiting = match when_full {
            WhenFull::DropOldest => spec.kind.drops.waiting(queue),
            WhenFull::Wait => queue,
        };
        Self { spec, queue: Queue::new(waiting, when_full), missed: AtomicU64::new(0) }
    }

    /// Results in its hands at most: those that wait and the one being written.
    #[must_use]
    pub fn holds(&self) -> usize {
        self.queue.capacity() + 1
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::LineShape;
    use crate::sink::kind::{DropPolicy, SinkKind};
    use crate::sink::{jsonl, udp};
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    /// Says that a result has come, and takes it only when it may.
    struct Held {
        came: SyncSender<()>,
        may: Receiver<()>,
        taken: Arc<std::sync::Mutex<Vec<i64>>>,
    }

    impl Sink for Held {
        fn write(&mut self, result: &PairResult) -> Result<Sent, SinkError> {
            // Both ends are gone as soon as the test lets the sink go on.
            let _ = self.came.send(());
            let _ = self.may.recv();
            self.taken.lock().unwrap().push(result.time_ns);
            Ok(Sent::Written)
        }

        fn finish(self: Box<Self>) -> Result<(), SinkError> {
            Ok(())
        }
    }

    /// What a sink takes of results 0 to 99, and its summary, when the others come while it has the first in hand.
    fn taken(kind: SinkKind, when_full: WhenFull) -> (Vec<i64>, SinkSummary) {
        let lane = SinkLane::new(SinkSpec { kind, place: "anywhere".into(), lines: LineShape::Own }, 4, when_full);
        let ((came, first), (go_on, may)) = (sync_channel(0), sync_channel(0));
        let taken = Arc::default();
        let sink = Box::new(Held { came, may, taken: Arc::clone(&taken) });
        let result = |time_ns| Arc::new(PairResult { time_ns, ..PairResult::default() });
        let summary = std::thread::scope(|scope| {
            let sink = scope.spawn(|| lane.run(sink));
            lane.offer(&result(0));
            first.recv().unwrap();
            let rest = scope.spawn(|| (1..100).for_each(|time_ns| lane.offer(&result(time_ns))));
            if when_full == WhenFull::DropOldest {
                // It does not wait for the sink.
                rest.join().unwrap();
                drop((first, go_on));
            } else {
                drop((first, go_on));
                rest.join().unwrap();
            }
            lane.close();
            sink.join().unwrap().0
        });
        let taken = taken.lock().unwrap().clone();
        (taken, summary)
    }

    #[test]
    fn what_a_slow_sink_loses_is_its_own_policy_and_nothing_where_every_frame_counts() {
        let video = SinkKind { drops: DropPolicy::BeyondQueue, ..jsonl::KIND };
        for (kind, waiting) in [(udp::KIND, 1), (video, 4), (jsonl::KIND, 64)] {
            let (times, summary) = taken(kind, WhenFull::DropOldest);
            let newest = 100 - waiting..100;
            assert_eq!(times, std::iter::once(0).chain(newest).collect::<Vec<_>>());
            let expected = (waiting as u64 + 1, 99 - waiting as u64, 0);
            assert_eq!((summary.written, summary.dropped, summary.missed), expected, "{summary:?}");

            let (times, summary) = taken(kind, WhenFull::Wait);
            assert_eq!(times, (0..100).collect::<Vec<_>>());
            assert_eq!((summary.written, summary.dropped, summary.missed), (100, 0, 0));
        }
    }
}
