//! A camera that follows a script: steps separated by `;`, each at the time where the one before ended.
//!
//! - `frames N`: N frames, 40 ms apart, each delivered when it is due
//! - `silence MS`: nothing
//! - `delay MS`: from now on frames are delivered so much later than they were captured
//! - `lost REASON`: the source tells that it is lost
//! - `fail REASON`: the source ends with an error
//! - `gated N`: as `frames`, but the model hangs with them as long as [`HANGS`] says so
//! - `hang`: nothing until nobody wants frames any more
//!
//! A script that begins with `file;` is a source that waits for its reader; one with `again;` is opened again when it has ended. After the
//! last step the source ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use caf_geometry::Size;
use caf_runtime::frame::{Frame, Layout, PixelFormat, Pixels};
use caf_runtime::source::error::SourceError;
use caf_runtime::source::kind::{Pace, Source, SourceKind, SourceSettings};
use caf_runtime::source::port::Port;

/// Nanoseconds from frame to frame.
pub const PERIOD_NS: i64 = 40_000_000;
/// Size of the frames.
pub const SIZE: Size = Size::new(20, 12);

/// Any script.
pub const KIND: SourceKind = SourceKind {
    name: "a script",
    takes: |_| true,
    open: |text, settings| Ok(Box::new(Scripted { script: text.to_owned(), settings: settings.clone(), thread: None })),
};

/// Pixels that keep the model waiting as long as [`HANGS`] says so, as a driver that hangs.
struct Gated(Vec<u8>);

/// Whether the model hangs with such pixels.
pub static HANGS: AtomicBool = AtomicBool::new(false);

impl Pixels for Gated {
    fn bytes(&self) -> &[u8] {
        while std::thread::current().name() == Some("infer") && HANGS.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        &self.0
    }
}

struct Scripted {
    script: String,
    settings: SourceSettings,
    thread: Option<(JoinHandle<()>, Port)>,
}

impl Source for Scripted {
    fn is_live(&self) -> bool {
        !self.script.starts_with("file;")
    }

    /// Its script goes on by itself after a loss, unless it is one to be opened again.
    fn can_return(&self) -> bool {
        self.script.starts_with("again;")
    }

    fn start(&mut self, port: Port, pace: Pace) -> Result<(), SourceError> {
        let (script, settings, thread_port) = (self.script.clone(), self.settings.clone(), port.clone());
        let thread = std::thread::spawn(move || {
            play(&script, &settings, &thread_port, pace);
            thread_port.end();
        });
        self.thread = Some((thread, port));
        Ok(())
    }

    fn stop(&mut self) {
        if let Some((thread, port)) = self.thread.take() {
            port.end();
            thread.join().unwrap();
        }
    }
}

fn play(script: &str, settings: &SourceSettings, port: &Port, pace: Pace) {
    let clock = port.clock();
    let unwanted = || !port.is_wanted();
    let began_ns = if script.starts_with("again;") { clock.now_ns() } else { 0 };
    let (mut time_ns, mut delay_ns, mut sequence) = (began_ns, 0_i64, 0);
    for step in script.split(';').map(str::trim) {
        let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
        let number = || rest.parse::<i64>().unwrap();
        match word {
            "file" | "again" => {}
            "frames" | "gated" => {
                for _ in 0..number() {
                    if pace == Pace::Realtime && !clock.wait_until(time_ns + delay_ns, &unwanted) {
                        return;
                    }
                    let bytes = SIZE.width * SIZE.height * 3;
                    let layout = Layout { size: SIZE, stride_bytes: SIZE.width * 3, format: PixelFormat::Rgb8 };
                    let capture_ns = time_ns - settings.latency_ns;
                    // A scene that moves: what does not is a frozen camera.
                    let scene = |i: usize| (40 + i * 7 % 101 + sequence as usize % 100) as u8;
                    let pixels = (0..bytes).map(scene).collect::<Vec<u8>>();
                    let pixels: Box<dyn Pixels> =
                        if word == "gated" { Box::new(Gated(pixels)) } else { Box::new(pixels) };
                    let mut frame = Frame::new(settings.camera, sequence, capture_ns, layout, pixels).unwrap();
                    frame.rate = (25, 1);
                    if !port.deliver(frame) {
                        return;
                    }
                    sequence += 1;
                    time_ns += PERIOD_NS;
                }
            }
            "silence" => {
                time_ns += number() * 1_000_000;
                if pace == Pace::Realtime && !clock.wait_until(time_ns + delay_ns, &unwanted) {
                    return;
                }
            }
            "delay" => delay_ns = number() * 1_000_000,
            "lost" => port.lost(rest),
            "fail" => {
                return port.fail(SourceError::File { path: "script".into(), reason: rest.to_owned() });
            }
            "hang" => assert!(!clock.wait_until(i64::MAX, &unwanted)),
            other => panic!("unknown step {other}"),
        }
    }
}
