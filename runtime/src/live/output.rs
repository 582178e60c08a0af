//! The last stage: hands fused pairs to the sinks and keeps the statistics.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::LiveError;
use super::slot::{Line, Slot, Stage};
use super::stages::CloseAtEnd;
use super::summary::StageHistograms;
use crate::queue::Queue;
use crate::sink::SinkError;
use crate::sink::jsonl::JsonLines;
use crate::sink::video::VideoSink;
use crate::stats::Histogram;

/// The sinks of a run; each is there when the user named a file.
pub struct Sinks {
    /// The video.
    pub video: Option<VideoSink>,
    /// The lines.
    pub lines: Option<JsonLines>,
    /// Class names.
    pub classes: Vec<String>,
}

/// What the sinks saw.
#[derive(Default)]
pub struct Written {
    /// Pairs that reached every sink.
    pub pairs: u64,
    /// Detections in them.
    pub detections: u64,
    /// Absolute skews.
    pub skew: Histogram,
    /// Durations by stage.
    pub stages: StageHistograms,
    /// Whether the video got a frame and so exists.
    pub video: bool,
}

/// Runs the last stage until its input ends, then finishes the files.
pub struct Output<'a> {
    /// Where to write.
    pub sinks: Sinks,
    /// Filled slots.
    pub results: &'a Queue<Slot>,
    /// Where slots go back to.
    pub free: &'a Queue<Slot>,
    /// Counts the pairs written.
    pub written: &'a AtomicU64,
}

impl Output<'_> {
    /// Runs the stage.
    pub fn run(mut self) -> Result<Written, LiveError> {
        let _closes = (CloseAtEnd(self.results), CloseAtEnd(self.free));
        let mut written = Written::default();
        let taken = self.take_all(&mut written);
        // Whatever happened, a sink that still works keeps what it has; nobody may wait for this stage meanwhile.
        self.results.close_all();
        let Sinks { video, lines, .. } = self.sinks;
        let video = video.map_or(Ok(false), VideoSink::finish);
        let lines = lines.filter(|_| written.pairs > 0).map_or(Ok(()), JsonLines::finish);
        taken?;
        written.video = video?;
        lines?;
        Ok(written)
    }

    /// Hands slots to the sinks until their queue ends or a sink fails.
    fn take_all(&mut self, written: &mut Written) -> Result<(), SinkError> {
        while let Some(mut slot) = self.results.next() {
            let start = Instant::now();
            if let Some(video) = &mut self.sinks.video {
                video.write(&slot.image.rgb, slot.image.size_px, slot.time_ns, slot.rate)?;
            }
            slot.stages.set(Stage::Sink, start.elapsed());
            if let Some(lines) = &mut self.sinks.lines {
                lines.write(&Line { slot: &slot, classes: &self.sinks.classes })?;
            }
            slot.stages.set(Stage::EndToEnd, slot.arrived.elapsed());
            written.stages.add(&slot.stages);
            written.skew.add(Duration::from_nanos(slot.skew_ns.unsigned_abs()));
            written.pairs += 1;
            written.detections += slot.image.detections.len() as u64;
            self.written.store(written.pairs, Ordering::Relaxed);
            // Nobody takes slots any more once the model has ended; then the slot is simply dropped.
            drop(self.free.push(0, slot));
        }
        Ok(())
    }
}

/// The files a run was asked to write.
#[derive(Clone, Debug, Default)]
pub struct OutputFiles {
    /// Video; the ending decides the kind.
    pub video: Option<PathBuf>,
    /// JSON lines.
    pub lines: Option<PathBuf>,
}

impl OutputFiles {
    /// Claims the places of the files, so that an unwritable one is known before the cameras start.
    pub fn open(&self, classes: Vec<String>) -> Result<Sinks, LiveError> {
        let video = self.video.as_deref().map(VideoSink::create).transpose()?;
        let lines = self.lines.as_deref().map(JsonLines::create).transpose()?;
        Ok(Sinks { video, lines, classes })
    }
}
