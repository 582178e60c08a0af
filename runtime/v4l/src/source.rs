//! A camera as a source of the live run: frames with their times, and opening it again when it was lost.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use caf_runtime::frame::{Camera, Frame, ImageView, Layout};
use caf_runtime::source::error::SourceError;
use caf_runtime::source::kind::{Pace, Source, SourceKind, SourceSettings};
use caf_runtime::source::port::Port;
use caf_runtime::source::report::Intake;
use caf_runtime::source::settling::Settling;
use rustix::time::{ClockId, clock_gettime};

use super::abi::{
    BUF_FLAG_TIMESTAMP_MASK, BUF_FLAG_TIMESTAMP_MONOTONIC, BUF_FLAG_TSTAMP_SRC_MASK, BUF_FLAG_TSTAMP_SRC_SOE,
};
use super::camera::{FirstTime, Opened};
use super::carrier::Shelf;
use super::convert::convert;
use super::device::{Devices, Filled};
use super::error::V4lError;
use super::format::Samples;
use super::jpeg;
use super::node::Kernel;
use super::stream::{KEPT, Lease, Step, Stream, StreamCounts, StreamError};
use super::text::{PREFIX, Request};

/// How long one wait for a frame takes at most: how soon the end of a run is noticed.
const WAIT: Duration = Duration::from_millis(100);
/// From one try to open a lost camera to the next.
const RETRY_NS: i64 = 250_000_000;
/// A camera that was delivering and is silent for this long, or for so many frames, is started again.
const STALL_NS: i64 = 2_000_000_000;
/// See [`STALL_NS`].
const STALL_FRAMES: i64 = 5;
/// The first frame of a start may take longer: sensors warm up, shutters calibrate.
const FIRST_STALL_NS: i64 = 5_000_000_000;
/// A time that is further from its arrival than this is not believed.
const BELIEVED_NS: i64 = 10_000_000_000;

/// `v4l2:NODE?KEY=VALUE&…`.
pub const KIND: SourceKind = SourceKind {
    name: "a Video4Linux camera (v4l2:/dev/videoN)",
    takes: |text| text.starts_with(PREFIX),
    open: |text, settings| {
        let opened = V4lSource::open(Arc::new(Kernel), text, settings);
        Ok(Box::new(opened.map_err(|e| e.of(settings.camera))?))
    },
};

/// Nanoseconds of the clock that drivers stamp frames with.
fn monotonic_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

/// An opened camera.
pub struct V4lSource {
    devices: Arc<dyn Devices>,
    request: Request,
    settings: SourceSettings,
    opened: Option<Opened>,
    reader: Option<(JoinHandle<()>, Port)>,
    monotonic: fn() -> i64,
}

impl V4lSource {
    /// Opens the camera that a text names.
    ///
    /// # Errors
    /// [`V4lError`].
    pub fn open(devices: Arc<dyn Devices>, text: &str, settings: &SourceSettings) -> Result<Self, V4lError> {
        let request = Request::parse(text)?;
        let opened = Opened::open(&*devices, &request, settings.camera, None)?;
        let (camera, plan) = (settings.camera.name(), &opened.plan);
        let rate = opened
            .interval_ns()
            .map_or("at a rate it does not tell".to_owned(), |ns| format!("at {:.2} frames a second", 1e9 / ns as f64));
        tracing::info!("{camera} camera: {}, {} of {} {rate}", opened.identity, plan.size, opened.code);
        let settings = settings.clone();
        Ok(Self { devices, request, settings, opened: Some(opened), reader: None, monotonic: monotonic_ns })
    }
}

impl Source for V4lSource {
    fn is_live(&self) -> bool {
        true
    }

    /// It opens its device again itself, which it knows under any name.
    fn can_return(&self) -> bool {
        false
    }

    fn start(&mut self, port: Port, pace: Pace) -> Result<(), SourceError> {
        let camera = self.settings.camera;
        let Some(opened) = self.opened.take() else { return Ok(()) };
        let reader = Reader {
            devices: Arc::clone(&self.devices),
            request: self.request.clone(),
            first: opened.first_time(),
            latency_ns: self.settings.latency_ns,
            pace,
            port: port.clone(),
            shelf: Shelf::default(),
            stamps: Stamps { monotonic: self.monotonic, zero_ns: 0, told: false },
            settling: Settling::default(),
            delivered: 0,
            intake: Intake::default(),
        };
        let name = format!("{} camera", camera.name());
        let thread = std::thread::Builder::new().name(name).spawn(move || reader.run(opened));
        self.reader = Some((thread.map_err(|source| SourceError::Thread { camera, source })?, port));
        Ok(())
    }

    fn stop(&mut self) {
        if let Some((thread, port)) = self.reader.take() {
            port.end();
            // A reader that panicked has closed its lane; there is nothing else to undo.
            let _ = thread.join();
        }
    }
}

impl Drop for V4lSource {
    fn drop(&mut self) {
        self.stop();
    }
}

/// When frames were captured, in the time of the run.
struct Stamps {
    monotonic: fn() -> i64,
    /// The zero of the run on the drivers' clock.
    zero_ns: i64,
    told: bool,
}

impl Stamps {
    /// Both clocks run alike, so that one look at both is enough, and more would add its own error to each frame.
    fn begin(&mut self, port: &Port) {
        self.zero_ns = (self.monotonic)().saturating_sub(port.clock().now_ns());
    }

    /// The driver's time, where it is of the monotonic clock and can be; else the present.
    fn capture_ns(&mut self, filled: &Filled, now_ns: i64, camera: Camera) -> i64 {
        let is_monotonic = filled.flags & BUF_FLAG_TIMESTAMP_MASK == BUF_FLAG_TIMESTAMP_MONOTONIC;
        let stamped = filled.stamp_ns.saturating_sub(self.zero_ns);
        let late_ns = now_ns.saturating_sub(stamped);
        if is_monotonic && (-BELIEVED_NS..BELIEVED_NS).contains(&late_ns) {
            return stamped;
        }
        if !self.told {
            self.told = true;
            let why = if is_monotonic {
                format!("lie {} s before their arrival", late_ns / 1_000_000_000)
            } else {
                "are not of the monotonic clock".to_owned()
            };
            tracing::warn!("the times of the {} frames {why}: they count as captured when they arrive", camera.name());
        }
        now_ns
    }
}

struct Reader {
    devices: Arc<dyn Devices>,
    request: Request,
    first: FirstTime,
    latency_ns: i64,
    pace: Pace,
    port: Port,
    shelf: Shelf,
    stamps: Stamps,
    settling: Settling,
    delivered: u64,
    intake: Intake,
}

impl Drop for Reader {
    /// However the reader ends, nobody waits for it afterwards.
    fn drop(&mut self) {
        self.port.end();
    }
}

impl Reader {
    fn run(mut self, first: Opened) {
        let mut opened = Some(first);
        while self.port.is_wanted() {
            let before = self.delivered;
            let streamed = match opened.take() {
                Some(opened) => self.stream(&opened),
                None => self.open_again().and_then(|opened| self.stream(&opened)),
            };
            let Err(error) = streamed else { return };
            let silent = matches!(error, V4lError::Stalled { .. });
            if self.delivered == 0 && self.intake.restarts == 0 && !silent {
                // It never worked, and whoever started the run can still do something about it.
                return self.port.fail(error.of(self.port.camera()));
            }
            self.intake.restarts += 1;
            self.port.take_in(self.intake);
            let reason = error.to_string();
            if matches!(
                error,
                V4lError::Stalled { .. } | V4lError::Stream(StreamError::Call { .. } | StreamError::Stopped)
            ) {
                // The camera is there and may go on at once; the run's patience says how long that may take.
                tracing::warn!("the {} camera is started again: {reason}", self.port.camera().name());
            } else {
                self.port.lost(reason);
            }
            let again_ns = self.port.clock().now_ns().saturating_add(RETRY_NS);
            let unwanted = || !self.port.is_wanted();
            if self.delivered == before && !self.port.clock().wait_until(again_ns, &unwanted) {
                return;
            }
        }
    }

    fn open_again(&self) -> Result<Opened, V4lError> {
        Opened::again(&*self.devices, &self.request, self.port.camera(), &self.first)
    }

    /// Hands on frames until nobody wants them.
    fn stream(&mut self, opened: &Opened) -> Result<(), V4lError> {
        let mut stream = opened.stream()?;
        self.stamps.begin(&self.port);
        self.port.restarts_times();
        let mut counted = StreamCounts::default();
        let mut heard_ns = self.port.clock().now_ns();
        let mut first = true;
        while self.port.is_wanted() {
            let mut step = stream.next(WAIT)?;
            if self.pace == Pace::Realtime && !opened.plan.is_direct() {
                // What must be converted first may take longer than a frame's time; then only the newest is worth it.
                while let Step::Frame(_) = step
                    && let newer @ Step::Frame(_) = stream.next(Duration::ZERO)?
                {
                    step = newer;
                    self.intake.overtaken += 1;
                }
            }
            let counts = stream.counts();
            self.intake.missed += counts.missed - counted.missed;
            self.intake.damaged += counts.damaged - counted.damaged;
            counted = counts;
            // Before the frame, so that whoever sees its number finds what is missing before it.
            self.port.take_in(self.intake);
            let now_ns = self.port.clock().now_ns();
            match step {
                Step::Frame(lease) => {
                    (heard_ns, first) = (now_ns, false);
                    self.hand_on(lease, opened, &stream)?;
                }
                Step::Damaged => heard_ns = now_ns,
                Step::Nothing => {
                    let usual =
                        opened.interval_ns().map_or(STALL_NS, |ns| STALL_NS.max(ns.saturating_mul(STALL_FRAMES)));
                    let stall_ns = if first { usual.max(FIRST_STALL_NS) } else { usual };
                    if now_ns.saturating_sub(heard_ns) >= stall_ns {
                        return Err(V4lError::Stalled { seconds: stall_ns as f64 / 1e9 });
                    }
                }
            }
            self.port.take_in(self.intake);
        }
        Ok(())
    }

    /// Makes a frame of a buffer and delivers it.
    fn hand_on(&mut self, lease: Lease, opened: &Opened, stream: &Stream) -> Result<(), V4lError> {
        let (camera, plan) = (self.port.camera(), &opened.plan);
        let filled = *lease.filled();
        if filled.flags & BUF_FLAG_TSTAMP_SRC_MASK == BUF_FLAG_TSTAMP_SRC_SOE {
            // From the start of the exposure to the end of the transfer a frame takes about its own time.
            self.port.reports_delay(opened.interval_ns().unwrap_or(0));
        }
        let now_ns = self.port.clock().now_ns();
        let capture_ns = self.stamps.capture_ns(&filled, now_ns, camera).saturating_sub(self.latency_ns);
        let mut carrier = self.shelf.take();
        let mut stride_bytes = plan.size.width * plan.output.bytes();
        if plan.samples == Samples::Jpeg {
            if jpeg::decode(lease.plane(0), plan.size, carrier.bytes_mut()).is_none() {
                self.intake.damaged += 1;
                return Ok(());
            }
        } else if plan.is_direct() && stream.with_driver() >= KEPT {
            stride_bytes = plan.strides[0];
            carrier.lend(lease);
        } else {
            // So many frames are in use that the driver would have nothing to fill.
            self.intake.copied += u64::from(plan.is_direct());
            convert(plan, [lease.plane(0), lease.plane(1)], carrier.bytes_mut());
            drop(lease);
        }
        let layout = Layout { size: plan.size, stride_bytes, format: plan.output };
        let Intake { missed, damaged, overtaken, .. } = self.intake;
        let sequence = self.delivered + missed + damaged + overtaken;
        let mut frame = Frame::new(camera, sequence, capture_ns, layout, carrier)?;
        frame.rate = opened.rate;
        if camera == Camera::Infrared && self.is_blank(&frame.view()?, now_ns) {
            return Ok(());
        }
        self.delivered += 1;
        // Whether anybody wants more is asked next.
        let _ = self.port.deliver(frame);
        Ok(())
    }

    /// Whether the frame is one of the first ones that hold nothing.
    fn is_blank(&mut self, image: &ImageView<'_>, now_ns: i64) -> bool {
        let passed_over = self.settling.passes_over(image, now_ns);
        if passed_over {
            self.intake.passed_over += 1;
            // A sign of life.
            drop(self.port.excuse());
        }
        passed_over
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
