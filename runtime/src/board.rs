//! How a run is at the moment, for those who look at it from outside while it goes on.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use caf_engine::Provider;
use serde::Serialize;

use crate::frame::Frame;
use crate::health::Faults;
use crate::pair::PairCount;
use crate::preview::Newest;
use crate::pulse::Stuck;
use crate::result::{PairResult, ResultState};
use crate::source::report::SourceReport;

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The model is prepared, the cameras are opened.
    #[default]
    Starting,
    /// The cameras deliver, or should.
    Running,
    /// No more frames are taken; what waits is finished.
    Ending,
}

/// A camera of a run that goes on.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CameraStatus {
    /// Frames that it delivered.
    pub delivered: u64,
    /// Frames given up because newer ones came before they could be paired.
    pub dropped_before_pairing: u64,
    /// Where the others went; what is not decided yet is missing.
    pub pairing: PairCount,
    /// How the source is.
    #[serde(flatten)]
    pub source: SourceReport,
}

/// A sink of a run that goes on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SinkStatus {
    /// Which kind.
    pub sink: &'static str,
    /// Results given up because newer ones came while it was busy.
    pub dropped: u64,
    /// Results that came when it had failed.
    pub missed: u64,
    /// Whether it takes nothing any more.
    pub has_ended: bool,
}

/// How a run is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// How far it is.
    pub phase: Phase,
    /// Where the model runs; known once it is loaded.
    pub provider: Option<Provider>,
    /// Why there, when the choice was left to the program.
    pub provider_reason: Option<String>,
    /// Seconds since the start of the cameras.
    pub seconds: f64,
    /// The cameras, infrared first.
    pub cameras: [CameraStatus; 2],
    /// What was to become results and was given up because newer frames came while the model was busy, by [`crate::result::ResultState`].
    pub dropped_before_inference: [u64; 4],
    /// Results, by [`crate::result::ResultState`].
    pub results: [u64; 4],
    /// The sinks.
    pub sinks: Vec<SinkStatus>,
    /// A stage that hangs.
    pub stuck: Option<Stuck>,
}

/// The newest result.
#[derive(Clone, Copy, Debug)]
pub struct Last {
    /// When the later of its frames arrived.
    pub arrived: Instant,
    /// What it rests on.
    pub state: ResultState,
    /// Why each camera takes no part in it, infrared first.
    pub faults: Faults,
}

#[derive(Debug)]
struct Inner {
    status: Status,
    written: Instant,
}

/// Where a run writes how it is. It never waits for a reader that takes long.
#[derive(Debug)]
pub struct Board {
    inner: Mutex<Inner>,
    pairing: Mutex<([PairCount; 2], [u64; 4])>,
    last: Mutex<Option<Last>>,
    cameras: [Newest; 2],
}

impl Default for Board {
    fn default() -> Self {
        let inner = Inner { status: Status::default(), written: Instant::now() };
        Self {
            inner: Mutex::new(inner),
            pairing: Mutex::default(),
            last: Mutex::default(),
            cameras: <[Newest; 2]>::default(),
        }
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the run is, and how long ago that was written.
    #[must_use]
    pub fn read(&self) -> (Status, Duration) {
        let inner = self.lock();
        (inner.status.clone(), inner.written.elapsed())
    }

    /// What a camera delivered last, as a small picture.
    #[must_use]
    pub fn cameras(&self) -> &[Newest; 2] {
        &self.cameras
    }

    /// Writes how the run is.
    pub fn write(&self, update: impl FnOnce(&mut Status)) {
        let mut inner = self.lock();
        update(&mut inner.status);
        inner.written = Instant::now();
    }

    /// Tells of a result.
    pub fn made(&self, result: &PairResult) {
        let last = Last { arrived: result.arrived, state: result.state, faults: result.faults };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    /// The newest result.
    #[must_use]
    pub fn last(&self) -> Option<Last> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of a frame that will be paired if it can.
    pub(crate) fn saw(&self, frame: &Frame) {
        if let Some(camera) = self.cameras.get(frame.camera.index()) {
            camera.offer(|picture| {
                // A frame was checked when it was made.
                if let Ok(view) = frame.view() {
                    picture.show(&view);
                }
            });
        }
    }

    /// Tells where frames went so far, and what was given up before the model, by [`crate::result::ResultState`].
    pub(crate) fn decided(&self, counts: [PairCount; 2], dropped: [u64; 4]) {
        *self.pairing.lock().unwrap_or_else(PoisonError::into_inner) = (counts, dropped);
    }

    pub(crate) fn pairing(&self) -> ([PairCount; 2], [u64; 4]) {
        *self.pairing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
