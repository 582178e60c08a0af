//! Frames from the images of a folder, in the order of their names.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::clock::RunClock;
use super::timestamps::Timestamps;
use super::{Capture, Pace, SourceError, SourceSettings, gst};
use crate::frame::{Camera, Frame};
use crate::image_file;
use crate::queue::Pushed;

/// How often a waiting reader looks whether the run ended.
const NAP: Duration = Duration::from_millis(20);

/// Frames per second that a folder can have: from time lapse to the fastest cameras.
pub const FPS: RangeInclusive<f64> = 0.01..=1000.0;

struct Entry {
    path: PathBuf,
    stamped_ns: i64,
}

/// An opened folder.
pub struct FolderSource {
    entries: Vec<Entry>,
    settings: SourceSettings,
    rate: (i32, i32),
    reader: Option<(JoinHandle<()>, Capture)>,
    failed: Arc<Mutex<Option<SourceError>>>,
}

impl FolderSource {
    /// Lists the folder, reads the capture times (of `timestamps.csv`, else from the frames per second) and decodes the
    /// first image.
    pub fn open(folder: &Path, settings: SourceSettings) -> Result<Self, SourceError> {
        gst::initialise()?;
        let file = |path: &Path, reason: String| SourceError::File { path: path.to_path_buf(), reason };
        let (files, twice) = image_file::list(folder).map_err(|e| file(folder, e.to_string()))?;
        if let Some(path) = twice.first() {
            return Err(file(path, "another file of this folder has the same stem".to_owned()));
        }
        let first = files.values().next().ok_or_else(|| file(folder, "holds no images".to_owned()))?;
        image_file::read(first).map_err(|e| file(first, e.to_string()))?;
        let stamps = Timestamps::find(folder, settings.camera)?;
        let mut entries = Vec::with_capacity(files.len());
        for (index, (stem, path)) in files.into_iter().enumerate() {
            let stamped_ns = match &stamps {
                None => (index as f64 * 1e9 / settings.fps).round() as i64,
                Some(stamps) => stamps
                    .get(&stem)
                    .ok_or_else(|| file(&path, format!("has no line in {}", super::timestamps::FILE_NAME)))?,
            };
            entries.push(Entry { path, stamped_ns });
        }
        let rate = rate(&entries, settings.fps);
        Ok(Self { entries, settings, rate, reader: None, failed: Arc::default() })
    }

    /// Starts the reader.
    pub fn start(&mut self, clock: &RunClock, pace: Pace, capture: &Capture) -> Result<(), SourceError> {
        let reader = Reader {
            entries: std::mem::take(&mut self.entries),
            camera: self.settings.camera,
            latency_ns: self.settings.latency_ns,
            rate: self.rate,
            clock: clock.clone(),
            pace,
            capture: Arc::clone(capture),
            failed: Arc::clone(&self.failed),
        };
        let name = format!("{} reader", self.settings.camera.name());
        let handle = std::thread::Builder::new().name(name).spawn(move || reader.run()).map_err(|e| {
            SourceError::File { path: PathBuf::new(), reason: format!("no thread for the reader: {e}") }
        })?;
        self.reader = Some((handle, Arc::clone(capture)));
        Ok(())
    }

    /// The error that stopped the reader.
    pub fn failure(&mut self) -> Option<SourceError> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for the reader.
    pub fn stop(&mut self) {
        if let Some((handle, capture)) = self.reader.take() {
            capture.close(self.settings.camera.index());
            // A reader that panicked has closed its lane; there is nothing else to undo.
            let _ = handle.join();
        }
    }
}

impl Drop for FolderSource {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Frames per second from the middle interval, in thousandths; 0 when they make no video.
fn rate(entries: &[Entry], fps: f64) -> (i32, i32) {
    let mut gaps: Vec<i64> =
        entries.iter().zip(entries.iter().skip(1)).map(|(a, b)| b.stamped_ns.saturating_sub(a.stamped_ns)).collect();
    gaps.sort_unstable();
    let fps = gaps.get(gaps.len() / 2).filter(|g| **g > 0).map_or(fps, |gap| 1e9 / *gap as f64);
    if FPS.contains(&fps) { ((fps * 1000.0).round() as i32, 1000) } else { (0, 1000) }
}

struct Reader {
    entries: Vec<Entry>,
    camera: Camera,
    latency_ns: i64,
    rate: (i32, i32),
    clock: RunClock,
    pace: Pace,
    capture: Capture,
    failed: Arc<Mutex<Option<SourceError>>>,
}

impl Drop for Reader {
    /// However the reader ends, nobody waits for it afterwards.
    fn drop(&mut self) {
        self.capture.close(self.camera.index());
    }
}

impl Reader {
    fn run(self) {
        let (lane, began_ns) = (self.camera.index(), self.clock.now_ns());
        let origin = self.entries.first().map_or(0, |e| e.stamped_ns);
        for (sequence, entry) in (0_u64..).zip(&self.entries) {
            let mut frame = match self.read(sequence, entry) {
                Ok(frame) => frame,
                Err(error) => {
                    self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    return;
                }
            };
            if self.pace == Pace::Realtime {
                let due = began_ns.saturating_add(entry.stamped_ns.saturating_sub(origin));
                while let Ok(left) = u64::try_from(due.saturating_sub(self.clock.now_ns()))
                    && left > 0
                {
                    if self.capture.is_closed(lane) {
                        return;
                    }
                    std::thread::sleep(NAP.min(Duration::from_nanos(left)));
                }
            }
            // Decoding may have happened long before the frame was due.
            frame.arrived = std::time::Instant::now();
            if let Pushed::Closed(_) = self.capture.push(lane, frame) {
                return;
            }
        }
    }

    fn read(&self, sequence: u64, entry: &Entry) -> Result<Frame, SourceError> {
        let image = image_file::read(&entry.path)
            .map_err(|e| SourceError::File { path: entry.path.clone(), reason: e.to_string() })?;
        let (size, stride) = ((image.width_px, image.height_px), image.width_px * image.format.bytes());
        let capture_ns = entry.stamped_ns.saturating_sub(self.latency_ns);
        let mut frame = Frame::from_pixels(self.camera, sequence, capture_ns, image.data, size, stride, image.format)
            .map_err(|source| SourceError::Frame { camera: self.camera.name(), source })?;
        frame.rate = self.rate;
        Ok(frame)
    }
}
