//! Frames from a GStreamer launch string.
//!
//! Both pipelines of a run get the same clock and base time; a frame's capture time is its running time (presentation time
//! within its segment) minus the camera's latency. A buffer without a presentation time counts as captured when it arrives.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::clock::RunClock;
use super::{Capture, Pace, SourceError, SourceSettings};
use crate::frame::{Camera, Frame, PixelFormat};
use crate::queue::Pushed;

/// Starts GStreamer; harmless when it runs already.
pub fn initialise() -> Result<(), SourceError> {
    gst::init().map_err(|e| SourceError::Gstreamer(e.to_string()))
}

/// An opened pipeline.
pub struct GstSource {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    settings: SourceSettings,
    live: bool,
    failed: Arc<Mutex<Option<SourceError>>>,
}

/// Appends the appsink unless the launch string brings its own.
fn complete(launch: &str) -> String {
    let own = launch.rsplit('!').next().is_some_and(|last| last.split_whitespace().next() == Some("appsink"));
    if own { launch.to_owned() } else { format!("{launch} ! videoconvert ! appsink name=frames") }
}

/// The error of a text that GStreamer does not take. Without a single `!` it may as well be a misspelt path.
fn unparsed(camera: Camera, text: &str, launch: &str, reason: String) -> SourceError {
    let camera = camera.name();
    if text.contains('!') {
        return SourceError::Parse { camera, reason, launch: launch.to_owned() };
    }
    let place = if Path::new(text).exists() {
        "neither a file nor a folder (a camera is `v4l2src device=/dev/videoN`)"
    } else {
        "no file or folder"
    };
    SourceError::NoSource { camera, text: text.to_owned(), place, reason }
}

/// Formats accepted from a camera; the converter in front picks the one that loses least.
fn caps(camera: Camera) -> gst::Caps {
    let formats: &[PixelFormat] = match camera {
        Camera::Infrared => &[PixelFormat::Gray8, PixelFormat::Gray16Le],
        Camera::Visible => &[PixelFormat::Rgb8],
    };
    let list = gst::List::new(formats.iter().map(|f| f.gst_name()));
    gst::Caps::builder("video/x-raw").field("format", list).build()
}

fn message_error(camera: Camera, error: &gst::message::Error) -> SourceError {
    let element = error.src().map_or_else(|| "pipeline".to_owned(), |s| s.name().to_string());
    let debug = error.debug().map_or_else(String::new, |d| format!("\n  {d}"));
    SourceError::Pipeline { camera: camera.name(), element, reason: error.error().to_string(), debug }
}

impl GstSource {
    /// Parses the launch string and brings the pipeline to the point where it could deliver its first frame.
    pub fn open(launch: &str, settings: SourceSettings) -> Result<Self, SourceError> {
        initialise()?;
        let camera = settings.camera;
        let text = launch;
        let launch = complete(text);
        let unparsed = |reason: String| unparsed(camera, text, &launch, reason);
        let element = gst::parse::launch_full(&launch, None, gst::ParseFlags::FATAL_ERRORS)
            .map_err(|e| unparsed(e.message().to_owned()))?;
        let pipeline = element
            .downcast::<gst::Pipeline>()
            .map_err(|e| unparsed(format!("expected a pipeline, found the lone element `{}`", e.name())))?;
        let mut sinks: Vec<gst_app::AppSink> =
            pipeline.iterate_recurse().into_iter().flatten().filter_map(|e| e.downcast().ok()).collect();
        let found = sinks.len();
        let (Some(sink), 1) = (sinks.pop(), found) else {
            return Err(SourceError::Sinks { camera: camera.name(), found, launch });
        };
        sink.set_caps(Some(&caps(camera)));
        // Every frame goes to our own queue at once, where drops are counted.
        sink.set_max_buffers(1);
        sink.set_drop(false);
        sink.set_enable_last_sample(false);
        let mut source = Self { pipeline, sink, settings, live: false, failed: Arc::default() };
        source.preroll()?;
        Ok(source)
    }

    fn preroll(&mut self) -> Result<(), SourceError> {
        if self.pipeline.set_state(gst::State::Paused).is_err() {
            return Err(self.refusal("start"));
        }
        let patience = self.settings.patience;
        let (result, ..) = self.pipeline.state(gst::ClockTime::try_from(patience).ok());
        match result {
            Ok(gst::StateChangeSuccess::NoPreroll) => self.live = true,
            Ok(gst::StateChangeSuccess::Success) => {}
            Ok(gst::StateChangeSuccess::Async) => {
                let late = SourceError::Timeout { camera: self.settings.camera.name(), patience };
                return Err(self.failure_on_bus().unwrap_or(late));
            }
            Err(_) => return Err(self.refusal("start")),
        }
        Ok(())
    }

    /// Why the pipeline does not do what it was told to.
    fn refusal(&self, what: &str) -> SourceError {
        self.failure_on_bus().unwrap_or_else(|| SourceError::Pipeline {
            camera: self.settings.camera.name(),
            element: "pipeline".to_owned(),
            reason: format!("refuses to {what}"),
            debug: String::new(),
        })
    }

    /// True for cameras and other sources that do not wait.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Sets the clock and lets frames flow.
    pub fn start(&mut self, clock: &RunClock, pace: Pace, capture: &Capture) -> Result<(), SourceError> {
        self.sink.set_sync(pace == Pace::Realtime && !self.live);
        self.pipeline.use_clock(Some(clock.gst_clock()));
        // Without a start time of its own the pipeline keeps the base time that both pipelines share.
        self.pipeline.set_start_time(gst::ClockTime::NONE);
        self.pipeline.set_base_time(clock.zero());
        self.sink.set_callbacks(self.callbacks(clock, capture));
        // A source without a single frame ended before anybody listened.
        if self.sink.is_eos() {
            capture.close(self.settings.camera.index());
        }
        if self.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(self.refusal("play"));
        }
        Ok(())
    }

    fn callbacks(&self, clock: &RunClock, capture: &Capture) -> gst_app::AppSinkCallbacks {
        let (lane, camera, latency_ns) = (self.settings.camera.index(), self.settings.camera, self.settings.latency_ns);
        let (clock, failed, ended) = (clock.clone(), Arc::clone(&self.failed), Arc::clone(capture));
        let capture = Arc::clone(capture);
        let mut sequence = 0_u64;
        let mut described: Option<(gst::Caps, gst_video::VideoInfo)> = None;
        let deliver = move |sink: &gst_app::AppSink| -> Result<gst::FlowSuccess, gst::FlowError> {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let caps = sample.caps().ok_or(gst::FlowError::NotNegotiated)?;
            if described.as_ref().is_none_or(|(known, _)| known.as_ptr() != caps.as_ptr()) {
                let info = gst_video::VideoInfo::from_caps(caps).map_err(|_| gst::FlowError::NotNegotiated)?;
                described = Some((caps.to_owned(), info));
            }
            let (Some((_, info)), Some(buffer)) = (described.as_ref(), sample.buffer_owned()) else {
                return Err(gst::FlowError::Error);
            };
            let running = buffer.pts().and_then(|pts| {
                let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
                segment.to_running_time(pts)
            });
            let stamped = running.map_or_else(|| clock.now_ns(), |t| i64::try_from(t.nseconds()).unwrap_or(i64::MAX));
            drop(sample);
            match Frame::from_buffer(camera, sequence, stamped.saturating_sub(latency_ns), buffer, info) {
                Ok(frame) => {
                    sequence += 1;
                    match capture.push(lane, frame) {
                        Pushed::Queued | Pushed::Replaced(_) => Ok(gst::FlowSuccess::Ok),
                        Pushed::Closed(_) => Err(gst::FlowError::Eos),
                    }
                }
                Err(source) => {
                    let error = SourceError::Frame { camera: camera.name(), source };
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    capture.close(lane);
                    Err(gst::FlowError::Error)
                }
            }
        };
        gst_app::AppSinkCallbacks::builder().new_sample(deliver).eos(move |_| ended.close(lane)).build()
    }

    /// The next error on the bus; warnings before it are logged, everything else is thrown away.
    fn failure_on_bus(&self) -> Option<SourceError> {
        let bus = self.pipeline.bus()?;
        while let Some(message) = bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Warning]) {
            match message.view() {
                gst::MessageView::Error(error) => return Some(message_error(self.settings.camera, error)),
                gst::MessageView::Warning(warning) => {
                    tracing::warn!(camera = self.settings.camera.name(), "{}", warning.error());
                }
                _ => {}
            }
        }
        None
    }

    /// The first error of the frames or of the pipeline.
    pub fn failure(&mut self) -> Option<SourceError> {
        let frame = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        frame.or_else(|| self.failure_on_bus())
    }

    /// Stops the pipeline.
    pub fn stop(&mut self) {
        // Going to Null cannot fail in a way that could be acted on.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Drop for GstSource {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_appsink_is_appended_only_where_there_is_none() {
        assert_eq!(complete("v4l2src"), "v4l2src ! videoconvert ! appsink name=frames");
        assert_eq!(complete("v4l2src ! appsink name=mine"), "v4l2src ! appsink name=mine");
        assert_eq!(
            complete("a ! identity name=appsink"),
            "a ! identity name=appsink ! videoconvert ! appsink name=frames"
        );
    }
}
