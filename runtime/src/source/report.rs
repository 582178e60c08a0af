//! What a source tells: how it is, what changed, and what became of its frames.

use serde::Serialize;

use crate::stats::Percentiles;

/// How a source is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Opened; no frame came yet.
    #[default]
    Starting,
    /// Frames come.
    Up,
    /// Frames came and come no more; they may come again.
    Lost,
    /// Nothing will come any more.
    Ended,
}

/// A change of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceEvent {
    /// Frames come: for the first time, or again.
    Up {
        /// Whether it was lost before.
        again: bool,
    },
    /// Frames came and come no more.
    Lost {
        /// How it was noticed.
        reason: String,
    },
    /// It could not be opened again; that is tried again and again.
    NotBack {
        /// What was in the way.
        reason: String,
    },
    /// The camera's clock has jumped. Of a clock that jumps again and again, one jump a minute is told.
    ClockJumped {
        /// Forward by so much, in nanoseconds.
        by_ns: i64,
        /// Jumps before it that were not told.
        untold: u64,
    },
    /// Nothing will come any more.
    Ended,
}

/// What a source that knows its device did not deliver, or not as it came. None of these are among the frames delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Intake {
    /// Frames that the device's driver had to drop, by the gaps in its numbers.
    pub missed: u64,
    /// Frames that were damaged, cut off or could not be decoded.
    pub damaged: u64,
    /// Frames that a newer one had overtaken before they were converted.
    pub overtaken: u64,
    /// First frames of a thermal camera that hold nothing.
    pub passed_over: u64,
    /// Frames delivered as copies, because too many of the device's buffers were in use.
    pub copied: u64,
    /// How often the device was opened again.
    pub restarts: u64,
}

/// What became of a source so far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct SourceReport {
    /// How it is, or was when the run took no more frames.
    pub state: SourceState,
    /// How often it was lost.
    pub lost: u64,
    /// How often it came back.
    pub returned: u64,
    /// How often it was opened again, or that was tried.
    pub reopened: u64,
    /// Frames not taken: they were of another size than the first.
    pub refused: u64,
    /// How often the camera's clock has jumped.
    pub clock_jumps: u64,
    /// By how many milliseconds its times have drifted from the clock of the run, from the least delay of ten seconds to that of others.
    pub drift_ms: f64,
    /// From capture to delivery; nothing where times are not those of the clock, as in files.
    pub delivery: Percentiles,
    /// What it did not deliver.
    pub intake: Intake,
}
