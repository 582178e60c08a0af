//! Looks after a source: lets it look after itself, notices its silence, and opens it again when it is gone.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::error::SourceError;
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

type Opened = Result<Box<dyn Source>, SourceError>;

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

    /// Opens the source again. What takes long keeps no run from ending: it is left alone then, and closed by whoever opens it.
    fn open(&self, port: &Port) -> Option<Box<dyn Source>> {
        let opened = self.opening(port.again()).and_then(|opening| {
            loop {
                match opening.recv_timeout(WATCH) {
                    Ok(opened) => return opened.map(Some),
                    Err(RecvTimeoutError::Timeout) if port.is_open() => {}
                    // The run is over, or what opens it has panicked, which is told elsewhere.
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(None),
                }
            }
        });
        match opened {
            Ok(Some(source)) => return Some(source),
            Ok(None) if port.is_open() => port.is_still_gone("opening it has failed".to_owned()),
            Ok(None) => {}
            Err(error) => port.is_still_gone(error.to_string()),
        }
        None
    }

    /// Begins to open the source and to start it with a port.
    fn opening(&self, session: Port) -> Result<Receiver<Opened>, SourceError> {
        let camera = session.camera();
        let settings = SourceSettings { patience: self.settings.patience.min(OPENING), ..self.settings.clone() };
        let (spec, pace) = (self.spec.clone(), self.pace);
        let (done, opening) = channel();
        let open = move || {
            let open = || {
                let mut source = spec.open(&settings)?;
                source.start(session, pace)?;
                Ok(source)
            };
            // Whoever waits no longer does not want it: it is stopped here.
            let _ = done.send(open());
        };
        let thread = std::thread::Builder::new().name(format!("{} opens", camera.name())).spawn(open);
        thread.map(|_| opening).map_err(|source| SourceError::Thread { camera, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Camera, Frame, Layout, PixelFormat};
    use crate::queue::{Lanes, WhenFull};
    use crate::source::clock::MonotonicClock;
    use crate::source::kind::SourceKind;
    use crate::source::port::Capture;
    use caf_geometry::Size;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Condvar, Mutex};
    use std::time::Instant;

    /// How long a test waits for what must happen: only a failing one takes so long.
    const LIMIT: Duration = Duration::from_secs(60);
    /// How far the source of the test is: 1 when it is being opened, 2 when it may be, 3 when it is closed.
    static STEP: (Mutex<u32>, Condvar) = (Mutex::new(0), Condvar::new());
    static OPENED: AtomicU32 = AtomicU32::new(0);

    fn set(step: u32) {
        *STEP.0.lock().unwrap() = step;
        STEP.1.notify_all();
    }

    fn reaches(step: u32) -> bool {
        let found = STEP.1.wait_timeout_while(STEP.0.lock().unwrap(), LIMIT, |found| *found < step);
        *found.unwrap().0 >= step
    }

    struct Slow;

    impl Source for Slow {
        fn is_live(&self) -> bool {
            true
        }

        fn start(&mut self, _: Port, _: Pace) -> Result<(), SourceError> {
            Ok(())
        }

        fn stop(&mut self) {}
    }

    impl Drop for Slow {
        fn drop(&mut self) {
            if OPENED.load(Ordering::SeqCst) > 0 {
                set(3);
            }
        }
    }

    #[test]
    fn a_run_that_ends_does_not_wait_for_a_source_that_is_being_opened() {
        let open = |_: &str, _: &SourceSettings| -> Result<Box<dyn Source>, SourceError> {
            set(1);
            assert!(reaches(2));
            OPENED.fetch_add(1, Ordering::SeqCst);
            Ok(Box::new(Slow))
        };
        let spec = SourceSpec { kind: SourceKind { name: "slow", takes: |_| true, open }, text: String::new() };
        let capture: Capture = Arc::new(Lanes::new(1, WhenFull::DropOldest));
        let port = Port::new(Camera::Infrared, &capture, Arc::new(MonotonicClock::default()), true);
        port.clock().start();
        port.keep();
        let layout = Layout { size: Size::new(2, 1), stride_bytes: 2, format: PixelFormat::Gray8 };
        assert!(port.deliver(Frame::new(Camera::Infrared, 0, 0, layout, Box::new(vec![0_u8; 2])).unwrap()));
        port.end();
        let settings = SourceSettings { camera: Camera::Infrared, latency_ns: 0, fps: 25.0, patience: LIMIT };
        let ended = std::thread::scope(|scope| {
            let keeping = Keeping { spec: &spec, settings, pace: Pace::Realtime };
            let port = &port;
            let keeper = scope.spawn(move || keeping.keep(Box::new(Slow), port));
            assert!(reaches(1));
            capture.close_all();
            let began = Instant::now();
            while !keeper.is_finished() && began.elapsed() < LIMIT / 2 {
                std::thread::sleep(Duration::from_millis(1));
            }
            let ended = keeper.is_finished();
            set(2);
            ended
        });
        assert!(ended, "the keeper waits for the opening");
        assert!(reaches(3), "what was opened in vain is closed");
    }
}
