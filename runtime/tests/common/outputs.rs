//! Sinks that are slow or fail.

use std::ffi::OsStr;
use std::time::Duration;

use caf_runtime::line::LineShape;
use caf_runtime::result::PairResult;
use caf_runtime::sink::error::SinkError;
use caf_runtime::sink::kind::{DropPolicy, OpenSink, Sent, Sink, SinkKind, SinkSpec};

/// Takes everything.
pub fn willing() -> SinkSpec {
    spec("--willing", 0, |_| Ok(Box::new(Test { nap: Duration::ZERO, fails_at: u64::MAX, taken: 0 })))
}

/// Takes that long for each result.
pub fn slow(ms: u64) -> SinkSpec {
    spec("--slow", ms, |place| {
        Ok(Box::new(Test { nap: Duration::from_millis(number(place)), fails_at: u64::MAX, taken: 0 }))
    })
}

/// Fails with the result after that many.
pub fn failing(after: u64) -> SinkSpec {
    spec("--failing", after, |place| Ok(Box::new(Test { nap: Duration::ZERO, fails_at: number(place), taken: 0 })))
}

fn spec(option: &'static str, number: u64, open: OpenSink) -> SinkSpec {
    let drops = DropPolicy::BeyondQueue;
    let kind = SinkKind { option, value: "N", help: "for tests", writes_file: false, drops, open };
    SinkSpec { kind, place: number.to_string().into(), lines: LineShape::Own }
}

fn number(place: &OsStr) -> u64 {
    place.to_str().unwrap().parse().unwrap()
}

struct Test {
    nap: Duration,
    fails_at: u64,
    taken: u64,
}

impl Sink for Test {
    fn write(&mut self, _: &PairResult) -> Result<Sent, SinkError> {
        if self.taken == self.fails_at {
            let source = std::io::Error::other("the cable is cut");
            return Err(SinkError::Write { path: "cable".into(), source });
        }
        self.taken += 1;
        std::thread::sleep(self.nap);
        Ok(Sent::Written)
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }
}
