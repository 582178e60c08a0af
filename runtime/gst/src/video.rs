//! The drawn, fused images as a video file.

use std::path::{Path, PathBuf};

use caf_file::Aside;
use caf_geometry::Size;
use caf_runtime::result::PairResult;
use caf_runtime::sink::error::SinkError;
use caf_runtime::sink::kind::{DropPolicy, Sent, Sink, SinkKind};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::encoder::{Chosen, choose};
use super::error::{GstError, initialise};

/// How long an encoder may take to finish a file after its last frame.
const FINISH_TIMEOUT_S: u64 = 60;
/// Frames that wait for the encoder before the sink's thread waits too.
const ENCODER_QUEUE: u64 = 4;

/// A video file.
pub const KIND: SinkKind = SinkKind {
    option: "--video",
    value: "FILE",
    help: "Video of the fused images: .webm, .mp4, .mkv or .avi",
    writes_file: true,
    drops: DropPolicy::BeyondQueue,
    open: |place| Ok(Box::new(VideoSink::create(Path::new(place))?)),
};

/// The running encoder.
struct Running {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    pool: gst::BufferPool,
    info: gst_video::VideoInfo,
    origin_ns: i64,
}

/// A video file being written: beside its place until it is finished.
pub struct VideoSink {
    path: PathBuf,
    aside: Aside,
    chosen: Chosen,
    running: Option<Running>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Neither can fail in a way that could be acted on.
        let _ = self.pipeline.set_state(gst::State::Null);
        let _ = self.pool.set_active(false);
    }
}

impl VideoSink {
    /// Chooses an encoder by the file's ending (`.webm`, `.mp4`, `.mkv`, `.avi`) and claims the file's place. The
    /// encoder starts with the first frame, whose size it takes.
    pub fn create(path: &Path) -> Result<Self, GstError> {
        initialise()?;
        let chosen = choose(path)?;
        let aside = caf_file::begin(path).map_err(|source| GstError::Write { path: path.to_path_buf(), source })?;
        Ok(Self { path: path.to_path_buf(), aside, chosen, running: None })
    }

    fn refused(&self, element: &str, reason: impl ToString) -> GstError {
        GstError::Video { path: self.path.clone(), element: element.to_owned(), reason: reason.to_string() }
    }

    fn run(&self, image: Size, rate: (i32, i32), origin_ns: i64) -> Result<Running, GstError> {
        let side = |v: usize| u32::try_from(v).map_err(|_| self.refused("appsrc", format!("{v} pixels are too many")));
        // Containers want a rate; 30 stands in for a camera that does not say. Every frame keeps its own time anyway.
        let rate =
            if rate.0 > 0 && rate.1 > 0 { gst::Fraction::new(rate.0, rate.1) } else { gst::Fraction::new(30, 1) };
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, side(image.width)?, side(image.height)?)
            .fps(rate)
            .build()
            .map_err(|e| self.refused("appsrc", e))?;
        let caps = info.to_caps().map_err(|e| self.refused("appsrc", e))?;
        let launch =
            format!("appsrc name=frames ! videoconvert ! {} ! filesink name=file sync=false", self.chosen.launch);
        let element = gst::parse::launch_full(&launch, None, gst::ParseFlags::FATAL_ERRORS)
            .map_err(|e| self.refused(self.chosen.encoder, e.message()))?;
        let pipeline = element.downcast::<gst::Pipeline>().map_err(|e| self.refused(&e.name(), "is no pipeline"))?;
        let source = pipeline.by_name("frames").and_then(|e| e.downcast::<gst_app::AppSrc>().ok());
        let source = source.ok_or_else(|| self.refused("appsrc", "is missing"))?;
        let file = pipeline.by_name("file").ok_or_else(|| self.refused("filesink", "is missing"))?;
        file.set_property("location", self.aside.path());
        source.set_caps(Some(&caps));
        source.set_format(gst::Format::Time);
        source.set_block(true);
        source.set_max_buffers(ENCODER_QUEUE);
        source.set_max_bytes(0);
        let pool = gst::BufferPool::new();
        let mut config = pool.config();
        let bytes = u32::try_from(info.size()).map_err(|_| self.refused("appsrc", "the image is too large"))?;
        config.set_params(Some(&caps), bytes, 2, 0);
        pool.set_config(config).map_err(|e| self.refused("buffer pool", e))?;
        pool.set_active(true).map_err(|e| self.refused("buffer pool", e))?;
        let running = Running { pipeline, source, pool, info, origin_ns };
        if running.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(self.failure(&running).unwrap_or_else(|| self.refused("pipeline", "refuses to start")));
        }
        Ok(running)
    }

    /// The first error on the encoder's bus.
    fn failure(&self, running: &Running) -> Option<GstError> {
        let message = running.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        self.error_of(&message)
    }

    fn error_of(&self, message: &gst::Message) -> Option<GstError> {
        match message.view() {
            gst::MessageView::Error(error) => {
                let element = error.src().map_or_else(|| "pipeline".to_owned(), |s| s.name().to_string());
                Some(self.refused(&element, error.error()))
            }
            _ => None,
        }
    }

    /// Adds an image of `width × height × 3` bytes of RGB, shown from `time_ns` on. Times must grow.
    ///
    /// After [`GstError::Size`] the file can still be finished; after any other error it is given up.
    fn add(&mut self, rgb: &[u8], size: Size, time_ns: i64, rate: (i32, i32)) -> Result<(), GstError> {
        let running = match self.running.take() {
            Some(running) => running,
            None => self.run(size, rate, time_ns)?,
        };
        let expected = Size::new(running.info.width() as usize, running.info.height() as usize);
        if expected != size || rgb.len() != size.width * size.height * 3 {
            self.running = Some(running);
            return Err(GstError::Size { path: self.path.clone(), expected, found: size });
        }
        let time = u64::try_from(time_ns.saturating_sub(running.origin_ns)).unwrap_or(0);
        let pushed = fill(&running, rgb, time);
        // The bus knows why a push failed, and of failures (a full disk) that no push has met yet.
        if let Some(error) = self.failure(&running) {
            return Err(error);
        }
        pushed.map_err(|reason| self.refused("appsrc", reason))?;
        self.running = Some(running);
        Ok(())
    }

    /// Ends the file properly and puts it in its place; without a single frame nothing is written.
    fn end(mut self) -> Result<(), GstError> {
        let Some(running) = self.running.take() else { return Ok(()) };
        running.source.end_of_stream().map_err(|e| self.refused("appsrc", e))?;
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let timeout = gst::ClockTime::from_seconds(FINISH_TIMEOUT_S);
        let message = running.pipeline.bus().and_then(|bus| bus.timed_pop_filtered(timeout, &ends));
        let Some(message) = message else {
            return Err(self.refused("pipeline", format!("did not finish within {FINISH_TIMEOUT_S} s")));
        };
        if let Some(error) = self.error_of(&message) {
            return Err(error);
        }
        drop(running);
        let Self { path, aside, .. } = self;
        aside.finish().map_err(|source| GstError::Write { path, source })
    }
}

impl Sink for VideoSink {
    fn method(&self) -> Option<&'static str> {
        Some(self.chosen.encoder)
    }

    fn write(&mut self, result: &PairResult) -> Result<Sent, SinkError> {
        self.add(&result.image.rgb, result.image.size, result.time_ns, result.rate)?;
        Ok(Sent::Written)
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        Ok((*self).end()?)
    }
}

/// Copies an image into a buffer of the pool, whose rows may be padded, and hands it to the encoder.
fn fill(running: &Running, rgb: &[u8], time: u64) -> Result<(), String> {
    let mut buffer = running.pool.acquire_buffer(None).map_err(|e| format!("no buffer: {e:?}"))?;
    let row = running.info.width() as usize * 3;
    {
        let buffer = buffer.get_mut().ok_or("a fresh buffer is shared")?;
        buffer.set_pts(gst::ClockTime::from_nseconds(time));
        let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, &running.info)
            .map_err(|e| format!("the buffer cannot be mapped: {e}"))?;
        let stride = frame.plane_stride().first().copied().and_then(|s| usize::try_from(s).ok());
        let stride = stride.filter(|s| *s >= row).ok_or("the buffer has no rows")?;
        let plane = frame.plane_data_mut(0).map_err(|e| format!("the buffer cannot be written: {e}"))?;
        for (to, from) in plane.chunks_mut(stride).zip(rgb.chunks_exact(row)) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
    }
    running.source.push_buffer(buffer).map(drop).map_err(|e| format!("the encoder takes no more frames: {e:?}"))
}
