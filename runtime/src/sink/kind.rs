//! What a kind of sink is: one file that can open what a user names, and one line in a list.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use super::error::SinkError;
use crate::board::Board;
use crate::line::LineShape;
use crate::result::PairResult;

/// What became of a result at a sink that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is where it should be.
    Written,
    /// Nobody took it; the sink goes on.
    Undelivered,
}

/// An opened sink. It is used by one thread and may block: only its own queue fills meanwhile.
pub trait Sink: Send {
    /// What does the work, where that is worth telling: an encoder.
    fn method(&self) -> Option<&'static str> {
        None
    }

    /// Says what its lines look like, where it writes lines; called before the first result.
    fn shape(&mut self, _lines: LineShape) {}

    /// Shows it where the run writes how it is; called before the first result.
    fn attend(&mut self, _board: &Arc<Board>) {}

    /// Takes a result. After an error it is not called again, only finished.
    fn write(&mut self, result: &PairResult) -> Result<Sent, SinkError>;

    /// Puts what was written in its place; without a single result nothing appears.
    fn finish(self: Box<Self>) -> Result<(), SinkError>;
}

/// Opens a sink at the place that the user named.
pub type OpenSink = fn(&OsStr) -> Result<Box<dyn Sink>, SinkError>;

/// What waits in real time for a sink that is slower than the run. One result more takes the place of the oldest, which is counted
/// as dropped. Where every frame counts nothing is dropped: the run waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropPolicy {
    /// The newest result alone: whoever receives it acts on it, and an old one is worse than none.
    AllButNewest,
    /// As many as the run's queues hold: a short pause loses nothing, and a long one delays nothing.
    BeyondQueue,
    /// [`BACKLOG`] results: what is written is read afterwards, so that late is better than never.
    BeyondBacklog,
}

/// Results that wait for a sink whose file should lack none: two seconds of 30 pairs each, such as a disk may need to wake up. They hold
/// their images meanwhile, 150 MB of 1024x768 pixels.
pub const BACKLOG: usize = 64;

impl DropPolicy {
    /// How many results wait at most when the run's queues hold `queue`.
    #[must_use]
    pub fn waiting(self, queue: usize) -> usize {
        match self {
            Self::AllButNewest => 1,
            Self::BeyondQueue => queue,
            Self::BeyondBacklog => queue.max(BACKLOG),
        }
    }
}

/// A kind of sink.
#[derive(Clone, Copy)]
pub struct SinkKind {
    /// Its option on the command line.
    pub option: &'static str,
    /// What the option's value is, in capitals.
    pub value: &'static str,
    /// A line of help.
    pub help: &'static str,
    /// Whether the value is the path of a file that appears.
    pub writes_file: bool,
    /// What it loses in real time when it is too slow.
    pub drops: DropPolicy,
    /// Claims its place, so that a wrong one is known before the cameras start.
    pub open: OpenSink,
}

impl SinkKind {
    /// Its name in messages and reports: the option without dashes.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.option.trim_start_matches('-')
    }
}

impl std::fmt::Debug for SinkKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A sink as the user named it.
#[derive(Clone, Debug)]
pub struct SinkSpec {
    /// The kind.
    pub kind: SinkKind,
    /// The value of its option.
    pub place: OsString,
    /// What its lines look like, where it writes lines.
    pub lines: LineShape,
}

impl SinkSpec {
    /// Opens the sink.
    pub fn open(&self) -> Result<Box<dyn Sink>, SinkError> {
        let mut sink = (self.kind.open)(&self.place)?;
        sink.shape(self.lines);
        Ok(sink)
    }
}
