//! Looks after a source: lets it look after itself, notices its silence, and opens it again when it is gone.

use std::time::Duration;

use super::kind::{Pace, Source, SourceSettings, SourceSpec};
use super::port::Port;

/// How often a source is looked after.
pub const WATCH: Duration = Duration::from_millis(25);
/// How long it is waited before a source is opened again, at first; each time that fails twice as long, up to the most: a source that is there
/// again is back a second and its own start later.
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(1);
/// How long a source may take to open again.
const OPENING: Duration = Duration::from_secs(5);

/// What a keeper needs to know.
#[derive(Debug)]
pub struct Keeping<'a> {
    /// How to open the source.
    pub spec: &'a SourceSpec,
    /// With what.
    pub settings: SourceSettings,
    /// How time passes.
    pub pace: Pace,
}

impl Keeping<'_> {
    /// Keeps a started source until the run takes no more frames of it; then stops it. `port` is the one it was started with.
    pub fn keep(&self, source: Box<dyn Source>, port: &Port) {
        let patience = self.settings.patience;
        let mut source = Some(source);
        let (mut pause, mut returned) = (FIRST, port.returned());
        loop {
            // A source that failed just before the end still failed.
            let is_over = !port.is_open();
            source.iter_mut().for_each(|source| source.poll());
            port.check(patience);
            if is_over {
                break;
            }
            if port.is_gone() {
                if std::mem::replace(&mut returned, port.returned()) != port.returned() {
                    pause = FIRST;
                }
                // Its device, its connection and its threads are free before it is opened again.
                drop(source.take());
                let clock = port.clock();
                let due = clock.now_ns().saturating_add(i64::try_from(pause.as_nanos()).unwrap_or(i64::MAX));
                if !clock.wait_until(due, &|| !port.is_open()) {
                    break;
                }
                pause = MOST.min(pause * 2);
                source = self.open(port);
                continue;
            }
            std::thread::sleep(WATCH);
        }
        source.iter_mut().for_each(|source| source.stop());
    }

    /// Opens the source again.
    fn open(&self, port: &Port) -> Option<Box<dyn Source>> {
        let settings = SourceSettings { patience: self.settings.patience.min(OPENING), ..self.settings.clone() };
        let session = port.again();
        let opened = self.spec.open(&settings).and_then(|mut source| source.start(session, self.pace).map(|()| source));
        match opened {
            Ok(source) => Some(source),
            Err(error) => {
                port.is_still_gone(error.to_string());
                None
            }
        }
    }
}
