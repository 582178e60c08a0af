//! Frames from the images of a folder, in the order of their names.

use std::ops::RangeInclusive;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Instant;

use super::error::SourceError;
use super::kind::{Pace, Source, SourceKind, SourceSettings};
use super::port::Port;
use caf_image::recording::{RecordedFrame, recording};

use crate::frame::{Frame, Layout};
use crate::image_file;

/// An existing folder.
pub const KIND: SourceKind = SourceKind {
    name: "a folder of images",
    takes: |text| Path::new(text).is_dir(),
    open: |text, settings| Ok(Box::new(FolderSource::open(Path::new(text), settings.clone())?)),
};

/// Frames per second that a folder can have: from time lapse to the fastest cameras.
pub const FPS: RangeInclusive<f64> = 0.01..=1000.0;

/// An opened folder.
pub struct FolderSource {
    entries: Vec<RecordedFrame>,
    settings: SourceSettings,
    rate: (i32, i32),
    reader: Option<(JoinHandle<()>, Port)>,
}

impl FolderSource {
    /// Lists the folder, reads the capture times (of `timestamps.csv`, else from the frames per second) and decodes the
    /// first image.
    pub fn open(folder: &Path, settings: SourceSettings) -> Result<Self, SourceError> {
        let file = |path: &Path, reason: String| SourceError::File { path: path.to_path_buf(), reason };
        let entries = recording(folder, settings.camera, settings.fps).map_err(SourceError::Recording)?;
        if let Some(first) = entries.first() {
            image_file::read(&first.path, settings.camera).map_err(|e| file(&first.path, e.to_string()))?;
        }
        let rate = rate(&entries, settings.fps);
        Ok(Self { entries, settings, rate, reader: None })
    }
}

impl Source for FolderSource {
    fn is_live(&self) -> bool {
        false
    }

    fn start(&mut self, port: Port, pace: Pace) -> Result<(), SourceError> {
        let camera = self.settings.camera;
        let reader = Reader {
            entries: std::mem::take(&mut self.entries),
            latency_ns: self.settings.latency_ns,
            rate: self.rate,
            pace,
            port: port.clone(),
        };
        let name = format!("{} reader", camera.name());
        let thread = std::thread::Builder::new().name(name).spawn(move || reader.run());
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

impl Drop for FolderSource {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Frames per second from the middle interval, in thousandths; 0 when they make no video.
fn rate(entries: &[RecordedFrame], fps: f64) -> (i32, i32) {
    let mut gaps: Vec<i64> =
        entries.iter().zip(entries.iter().skip(1)).map(|(a, b)| b.stamped_ns.saturating_sub(a.stamped_ns)).collect();
    gaps.sort_unstable();
    let fps = gaps.get(gaps.len() / 2).filter(|g| **g > 0).map_or(fps, |gap| 1e9 / *gap as f64);
    if FPS.contains(&fps) { ((fps * 1000.0).round() as i32, 1000) } else { (0, 1000) }
}

struct Reader {
    entries: Vec<RecordedFrame>,
    latency_ns: i64,
    rate: (i32, i32),
    pace: Pace,
    port: Port,
}

impl Drop for Reader {
    /// However the reader ends, nobody waits for it afterwards.
    fn drop(&mut self) {
        self.port.end();
    }
}

impl Reader {
    fn run(self) {
        let clock = self.port.clock();
        let (began_ns, unwanted) = (clock.now_ns(), || !self.port.is_wanted());
        let origin = self.entries.first().map_or(0, |e| e.stamped_ns);
        for (sequence, entry) in (0_u64..).zip(&self.entries) {
            let mut frame = match self.read(sequence, entry) {
                Ok(frame) => frame,
                Err(error) => return self.port.fail(error),
            };
            if self.pace == Pace::Realtime {
                let _not_due = self.port.excuse();
                let due = began_ns.saturating_add(entry.stamped_ns.saturating_sub(origin));
                if !clock.wait_until(due, &unwanted) {
                    return;
                }
            }
            // Decoding may have happened long before the frame was due.
            frame.arrived = Instant::now();
            if !self.port.deliver(frame) {
                return;
            }
        }
    }

    fn read(&self, sequence: u64, entry: &RecordedFrame) -> Result<Frame, SourceError> {
        let image = image_file::read(&entry.path, self.port.camera())
            .map_err(|e| SourceError::File { path: entry.path.clone(), reason: e.to_string() })?;
        let size = image.size;
        let layout = Layout { size, stride_bytes: size.width * image.format.bytes(), format: image.format };
        let (camera, capture_ns) = (self.port.camera(), entry.stamped_ns.saturating_sub(self.latency_ns));
        let mut frame = Frame::new(camera, sequence, capture_ns, layout, Box::new(image.data))
            .map_err(|source| SourceError::Frame { camera, source })?;
        frame.rate = self.rate;
        Ok(frame)
    }
}
