//! Whether a run has started, lives, and is of use: one truth for whoever asks over HTTP and for the system's service manager.

use std::time::Duration;

use serde::Serialize;

use crate::board::{Board, Phase, Status};
use crate::frame::Camera;
use crate::health::Faults;
use crate::result::ResultState;
use crate::source::report::SourceState;

/// A run that writes nothing on its board for so long hangs: it does so ten times a second.
pub const HANGS: Duration = Duration::from_secs(2);
/// With an older result than this, what is shown is not what is there.
pub const STALE: Duration = Duration::from_secs(2);

/// What is known of a run.
#[derive(Debug)]
pub struct Known<'a> {
    /// What it wrote.
    pub status: &'a Status,
    /// How long ago.
    pub written: Duration,
    /// Age of the newest result; none before the first.
    pub age: Option<Duration>,
    /// What it rests on, and why each camera takes no part in it, infrared first.
    pub last: (ResultState, Faults),
}

impl Known<'_> {
    /// Looks at a run.
    pub fn look<T>(board: &Board, say: impl FnOnce(&Known<'_>) -> T) -> T {
        let (status, written) = board.read();
        let last = board.last();
        let age = last.map(|last| last.arrived.elapsed());
        let last = last.map(|last| (last.state, last.faults)).unwrap_or_default();
        say(&Known { status: &status, written, age, last })
    }
}

/// An answer to a probe.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether all is well.
    pub ok: bool,
    /// What is not.
    pub reasons: Vec<String>,
}

impl Health {
    fn of(reasons: Vec<String>) -> Self {
        Self { ok: reasons.is_empty(), reasons }
    }

    /// Its status code.
    #[must_use]
    pub fn code(&self) -> u16 {
        if self.ok { 200 } else { 503 }
    }
}

/// Whether there was a result: model, cameras and pairing work.
#[must_use]
pub fn startup(known: &Known<'_>) -> Health {
    let missing = known.age.is_none().then(|| match known.status.phase {
        Phase::Starting => "the model is prepared and the cameras are opened".to_owned(),
        Phase::Running | Phase::Ending => "no result yet".to_owned(),
    });
    Health::of(missing.into_iter().collect())
}

/// Whether the run goes on at all, whatever its cameras do: what fails here wants a new start.
#[must_use]
pub fn live(known: &Known<'_>) -> Health {
    let is_overdue = known.status.phase != Phase::Starting && known.written > HANGS;
    let hangs =
        is_overdue.then(|| format!("the run hangs: it was last heard of {:.1} s ago", known.written.as_secs_f64()));
    let stuck = known.status.stuck.map(|stuck| stuck.to_string());
    Health::of(hangs.into_iter().chain(stuck).collect())
}

/// Whether results are of use now: both cameras deliver, results are fresh, every sink works.
#[must_use]
pub fn ready(known: &Known<'_>) -> Health {
    let mut reasons = [startup(known).reasons, live(known).reasons].concat();
    if known.status.phase == Phase::Ending {
        reasons.push("the run ends".to_owned());
    }
    if known.status.phase == Phase::Running {
        let cameras = Camera::BOTH.into_iter().zip(&known.status.cameras).zip(known.last.1);
        reasons.extend(cameras.filter_map(|((camera, status), fault)| {
            let name = camera.name();
            match (fault, status.source.state) {
                (Some(fault), _) => Some(format!("the {name} camera takes no part: {}", fault.name())),
                (None, SourceState::Up) => None,
                (None, SourceState::Starting) => Some(format!("the {name} camera delivers nothing yet")),
                (None, SourceState::Lost) => Some(format!("the {name} camera is lost")),
                (None, SourceState::Ended) => Some(format!("the {name} camera has ended")),
            }
        }));
    }
    if let Some(age) = known.age.filter(|age| *age > STALE) {
        reasons.push(format!("the last result is {:.1} s old", age.as_secs_f64()));
    }
    let failed = known.status.sinks.iter().filter(|sink| sink.missed > 0);
    reasons.extend(failed.map(|sink| format!("the sink {} has failed", sink.sink)));
    Health::of(reasons)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::SinkStatus;
    use crate::health::Fault;
    use crate::pulse::Stuck;

    fn running() -> Status {
        let mut status = Status { phase: Phase::Running, ..Status::default() };
        status.cameras.iter_mut().for_each(|camera| camera.source.state = SourceState::Up);
        status
    }

    /// The reasons of the three probes.
    fn reasons(status: &Status, written_ms: u64, age_ms: Option<u64>) -> [String; 3] {
        reasons_with(status, written_ms, age_ms, [None; 2])
    }

    fn reasons_with(status: &Status, written_ms: u64, age_ms: Option<u64>, faults: Faults) -> [String; 3] {
        let known = Known {
            status,
            written: Duration::from_millis(written_ms),
            age: age_ms.map(Duration::from_millis),
            last: (ResultState::default(), faults),
        };
        [startup(&known), live(&known), ready(&known)].map(|health| {
            assert_eq!(health.code() == 200, health.reasons.is_empty());
            health.reasons.join("; ")
        })
    }

    #[test]
    fn each_fault_has_its_probe_and_its_reason() {
        let empty = String::new;
        assert_eq!(reasons(&running(), 100, Some(50)), [empty(), empty(), empty()]);
        let starting = Status::default();
        let model = "the model is prepared and the cameras are opened".to_owned();
        // An engine may be built for minutes.
        assert_eq!(reasons(&starting, 60_000, None), [model.clone(), empty(), model]);
        assert_eq!(reasons(&running(), 100, None), ["no result yet".to_owned(), empty(), "no result yet".to_owned()]);
        let [start, live, ready] = reasons(&running(), 2500, Some(50));
        assert!(start.is_empty() && live.contains("2.5 s ago") && ready == live);
        assert_eq!(reasons(&running(), 100, Some(2100))[2], "the last result is 2.1 s old");
        let mut lost = running();
        lost.cameras[0].source.state = SourceState::Lost;
        lost.sinks.push(SinkStatus { sink: "jsonl", missed: 1, ..SinkStatus::default() });
        let said = reasons(&lost, 100, Some(50));
        assert_eq!(said, [empty(), empty(), "the infrared camera is lost; the sink jsonl has failed".to_owned()]);
        let frozen = reasons_with(&running(), 100, Some(50), [None, Some(Fault::Frozen)]);
        assert_eq!(frozen, [empty(), empty(), "the visible camera takes no part: frozen".to_owned()]);
        let stuck = Status { stuck: Some(Stuck { stage: "infer", seconds: 61.0 }), ..running() };
        let [start, live, ready] = reasons(&stuck, 100, Some(50));
        assert!(
            start.is_empty() && live == "the infer stage has been at one image for 61 s" && ready == live,
            "{live}"
        );
        let ending = Status { phase: Phase::Ending, ..running() };
        assert_eq!(reasons(&ending, 100, Some(50)), [empty(), empty(), "the run ends".to_owned()]);
    }
}
