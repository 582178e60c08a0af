//! Everything that the stages of a run share: queues, ports, counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::config::{LiveConfig, Progress};
use super::stages::Order;
use crate::board::{CameraStatus, Phase, SinkStatus, Status};
use crate::frame::Camera;
use crate::pulse::{Pulse, Stuck};
use crate::queue::{LaneCount, Lanes, Queue, WhenFull};
use crate::result::ResultState;
use crate::sink::lane::SinkLane;
use crate::source::kind::Pace;
use crate::source::port::{Capture, Port};

/// Names of the stages.
pub const PAIR: &str = "pair";
/// See [`PAIR`].
pub const INFER: &str = "infer";

/// Everything that the stages share.
pub struct Plumbing {
    /// How time passes.
    pub pace: Pace,
    began_ns: i64,
    /// Frames.
    pub capture: Capture,
    /// The sources' ways in.
    pub ports: [Port; 2],
    /// What the model gets.
    pub orders: Queue<Order>,
    /// The sinks' ways out.
    pub sinks: Vec<SinkLane>,
    /// Results, by [`ResultState`].
    pub made: [AtomicU64; 4],
    /// What pairing and model are at.
    pub pairs: Pulse,
    /// See `pairs`.
    pub infers: Pulse,
}

impl Plumbing {
    /// For a run that begins now.
    pub fn new(config: &LiveConfig, pace: Pace) -> Self {
        let when_full = if pace == Pace::Realtime { WhenFull::DropOldest } else { WhenFull::Wait };
        // In real time only the newest pair may wait for the model: every place more would add a frame's time to the delay.
        let waiting = if pace == Pace::Realtime { 1 } else { config.queue };
        config.clock.start();
        let capture = Arc::new(Lanes::new(config.queue, when_full));
        let port = |camera| Port::new(camera, &capture, Arc::clone(&config.clock), pace == Pace::Realtime);
        Self {
            pace,
            began_ns: config.clock.now_ns(),
            ports: Camera::BOTH.map(port),
            capture,
            orders: Queue::new(waiting, when_full),
            sinks: config.sinks.iter().map(|s| SinkLane::new(s.clone(), config.queue, when_full)).collect(),
            made: std::array::from_fn(|_| AtomicU64::new(0)),
            pairs: Pulse::new(PAIR),
            infers: Pulse::new(INFER),
        }
    }

    /// Results in use at most: one with the model, and those of every sink.
    pub fn results(&self) -> usize {
        1 + self.sinks.iter().map(SinkLane::holds).sum::<usize>()
    }

    /// Since the run began.
    pub fn elapsed(&self, config: &LiveConfig) -> Duration {
        let elapsed = config.clock.now_ns().saturating_sub(self.began_ns);
        Duration::from_nanos(u64::try_from(elapsed).unwrap_or(0))
    }

    /// How far the run is.
    pub fn progress(&self, config: &LiveConfig) -> Progress {
        let captured: u64 = self.capture.counts().iter().map(|c| c.dropped).sum();
        let results = self.made();
        Progress {
            elapsed: self.elapsed(config),
            fused: results[ResultState::Fused as usize],
            results,
            sources: self.ports.each_ref().map(Port::state),
            dropped: captured + self.orders.count().dropped,
            stuck: self.stuck(config),
            written: false,
        }
    }

    /// The stage that hangs; the model before the pairing, which may wait for it.
    pub fn stuck(&self, config: &LiveConfig) -> Option<Stuck> {
        self.infers.stuck(config.stuck).or_else(|| self.pairs.stuck(config.stuck))
    }

    /// Results, by [`ResultState`].
    pub fn made(&self) -> [u64; 4] {
        self.made.each_ref().map(|made| made.load(Ordering::Relaxed))
    }

    /// Brings what the board says up to date.
    pub fn write(&self, config: &LiveConfig, status: &mut Status) {
        let (lanes, (counts, dropped_before_inference)) = (self.capture.counts(), config.board.pairing());
        let camera = |camera: Camera| {
            let i = camera.index();
            let LaneCount { pushed: delivered, dropped: dropped_before_pairing, .. } = lanes[i];
            CameraStatus { delivered, dropped_before_pairing, pairing: counts[i], source: self.ports[i].report() }
        };
        status.phase = if self.capturing() { Phase::Running } else { Phase::Ending };
        status.seconds = self.elapsed(config).as_secs_f64();
        status.cameras = Camera::BOTH.map(camera);
        (status.dropped_before_inference, status.results) = (dropped_before_inference, self.made());
        status.stuck = self.stuck(config);
        status.sinks.clear();
        status.sinks.extend(self.sinks.iter().map(|lane| SinkStatus {
            sink: lane.name(),
            dropped: lane.dropped(),
            missed: lane.missed(),
            has_ended: lane.is_closed(),
        }));
    }

    /// Whether frames are still taken.
    pub fn capturing(&self) -> bool {
        Camera::BOTH.iter().any(|c| !self.capture.is_closed(c.index()))
    }
}
