//! Frames from a GStreamer launch string.
//!
//! Both pipelines of a run count time from the zero of the run's clock; a frame's capture time is its running time
//! (presentation time within its segment) minus the camera's latency. `Stamps` has the times of buffers without any.

use std::path::Path;

use caf_runtime::frame::{Camera, PixelFormat};
use caf_runtime::source::error::SourceError;
use caf_runtime::source::kind::{Pace, Source, SourceKind, SourceSettings};
use caf_runtime::source::port::Port;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::error::{GstError, initialise};
use super::frame::{Frames, format_name};
use super::packages;
use super::stamp::Stamps;
use super::text::complete;

/// How long a pipeline that refuses may take to tell why.
const REASON: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// Any launch string.
pub const KIND: SourceKind = SourceKind {
    name: "a GStreamer launch string",
    takes: |_| true,
    open: |text, settings| Ok(Box::new(LaunchSource::open(text, settings).map_err(|e| e.of(settings.camera))?)),
};

/// An opened pipeline.
pub struct LaunchSource {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    settings: SourceSettings,
    live: bool,
    /// Whether the pipeline was asked how late its frames are.
    asked: bool,
    /// Parts of GStreamer that the pipeline missed, with their packages; the error that follows does not name them.
    missing: Vec<(String, Option<&'static str>)>,
    port: Option<Port>,
}

/// The error of a text that GStreamer does not take. Without a single `!` it may as well be a misspelt path.
fn unparsed(text: &str, launch: &str, reason: String) -> GstError {
    if text.contains('!') {
        return GstError::Parse { reason, launch: launch.to_owned() };
    }
    let place = if Path::new(text).exists() {
        "neither a file nor a folder (a camera is `v4l2:/dev/videoN`)"
    } else {
        "no file or folder"
    };
    GstError::NoSource { text: text.to_owned(), place, reason }
}

/// Makes an element that receives or decodes begin with a whole picture and pass on no other: a stream that is joined in its middle gives
/// differences to pictures that never came.
fn skip_damaged(element: &gst::Element) {
    for (property, value) in
        [("wait-for-keyframe", true), ("discard-corrupted-frames", true), ("output-corrupt", false)]
    {
        if element.find_property(property).is_some_and(|p| p.value_type() == bool::static_type()) {
            element.set_property(property, value);
        }
    }
}

/// Formats accepted from a camera; the converter in front picks the one that loses least.
const fn formats(camera: Camera) -> &'static [PixelFormat] {
    match camera {
        Camera::Infrared => &[PixelFormat::Gray8, PixelFormat::Gray16Le],
        Camera::Visible => &[PixelFormat::Rgb8],
    }
}

/// The same for people.
fn taken(camera: Camera) -> String {
    formats(camera).iter().map(|f| format_name(*f)).collect::<Vec<_>>().join(" or ")
}

/// Parses a launch string; elements that are not installed are named with their packages.
fn parse(camera: Camera, text: &str, launch: &str) -> Result<gst::Pipeline, GstError> {
    let mut context = gst::ParseContext::new();
    let parsed = gst::parse::launch_full(launch, Some(&mut context), gst::ParseFlags::FATAL_ERRORS);
    let element = parsed.map_err(|e| {
        let mut reason = e.message().to_owned();
        for element in context.missing_elements() {
            if let Some(package) = packages::of_element(&element) {
                reason += &format!(" (`{element}` is in the Debian package {package})");
            }
        }
        if reason.starts_with("could not link") && reason.contains(" to videoconvert") {
            let taken = taken(camera);
            reason +=
                &format!(": frames are made of raw video, converted to {taken}; a decoder may be missing before it");
        }
        unparsed(text, launch, reason)
    })?;
    element
        .downcast::<gst::Pipeline>()
        .map_err(|e| unparsed(text, launch, format!("expected a pipeline, found the lone element `{}`", e.name())))
}

impl LaunchSource {
    /// Parses the launch string and brings the pipeline to the point where it could deliver its first frame.
    pub fn open(text: &str, settings: &SourceSettings) -> Result<Self, GstError> {
        initialise()?;
        let launch = complete(text);
        let pipeline = parse(settings.camera, text, &launch)?;
        let mut sinks: Vec<gst_app::AppSink> =
            pipeline.iterate_recurse().into_iter().flatten().filter_map(|e| e.downcast().ok()).collect();
        let found = sinks.len();
        let (Some(sink), 1) = (sinks.pop(), found) else { return Err(GstError::Sinks { found, launch }) };
        let list = gst::List::new(formats(settings.camera).iter().map(|f| format_name(*f)));
        sink.set_caps(Some(&gst::Caps::builder("video/x-raw").field("format", list).build()));
        // Every frame goes to our own queue at once, where drops are counted.
        sink.set_max_buffers(1);
        sink.set_drop(false);
        sink.set_enable_last_sample(false);
        let _elements_to_come = pipeline.connect_deep_element_added(|_, _, element| skip_damaged(element));
        pipeline.iterate_recurse().into_iter().flatten().for_each(|element| skip_damaged(&element));
        let settings = settings.clone();
        let mut source = Self { pipeline, sink, settings, live: false, asked: false, missing: vec![], port: None };
        source.preroll()?;
        Ok(source)
    }

    fn preroll(&mut self) -> Result<(), GstError> {
        if self.pipeline.set_state(gst::State::Paused).is_err() {
            return Err(self.refusal("start"));
        }
        let patience = self.settings.patience;
        let (result, ..) = self.pipeline.state(gst::ClockTime::try_from(patience).ok());
        match result {
            Ok(gst::StateChangeSuccess::NoPreroll) => self.live = true,
            Ok(gst::StateChangeSuccess::Success) => {}
            Ok(gst::StateChangeSuccess::Async) => {
                return Err(self.failure_on_bus(None).unwrap_or(GstError::Timeout { patience }));
            }
            Err(_) => return Err(self.refusal("start")),
        }
        Ok(())
    }

    /// Why the pipeline does not do what it was told to.
    fn refusal(&mut self, what: &str) -> GstError {
        // The reason may be a moment behind the refusal.
        let reason = self.failure_on_bus(Some(REASON));
        reason.or_else(|| self.lacks()).unwrap_or_else(|| GstError::Pipeline {
            element: "pipeline".to_owned(),
            reason: format!("refuses to {what}"),
            debug: String::new(),
        })
    }

    /// The error of a pipeline that missed parts of GStreamer.
    fn lacks(&mut self) -> Option<GstError> {
        let what = self.missing.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let mut packages: Vec<_> = self.missing.drain(..).filter_map(|(_, package)| package).collect();
        packages.sort_unstable();
        packages.dedup();
        (!what.is_empty()).then_some(GstError::Missing { what, packages })
    }

    fn callbacks(&self, port: &Port, pace: Pace) -> gst_app::AppSinkCallbacks {
        let (camera, latency_ns, fps) = (self.settings.camera, self.settings.latency_ns, self.settings.fps);
        let ordered = pace == Pace::EveryFrame && !self.live;
        let (port, ended, frames) = (port.clone(), port.clone(), Frames::default());
        let (mut stamps, mut sequence) = (Stamps::new(ordered, fps), 0_u64);
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
                i64::try_from(segment.to_running_time(pts)?.nseconds()).ok()
            });
            drop(sample);
            if buffer.flags().contains(gst::BufferFlags::CORRUPTED) {
                port.count_damaged();
                return Ok(gst::FlowSuccess::Ok);
            }
            let rate = (info.fps().numer(), info.fps().denom());
            let stamped = stamps.stamp(running, port.clock().now_ns(), rate);
            if stamps.begins_untimed(running) {
                let meant = if !ordered {
                    "they count as captured when they arrive".to_owned()
                } else if rate.0 > 0 {
                    format!("they count in their order, {}/{} a second", rate.0, rate.1)
                } else {
                    format!("they count in their order, {fps} a second (--fps)")
                };
                tracing::warn!("the {} frames carry no times: {meant}", camera.name());
            }
            match frames.wrap(camera, sequence, stamped.saturating_sub(latency_ns), buffer, info) {
                Ok(frame) => {
                    sequence += 1;
                    if port.deliver(frame) { Ok(gst::FlowSuccess::Ok) } else { Err(gst::FlowError::Eos) }
                }
                Err(error) => {
                    port.fail(error.of(camera));
                    Err(gst::FlowError::Error)
                }
            }
        };
        gst_app::AppSinkCallbacks::builder().new_sample(deliver).eos(move |_| ended.end()).build()
    }

    /// The next error on the bus, waiting for each message as told. Warnings before it are logged, changes of latency are taken up, everything else is
    /// thrown away.
    fn failure_on_bus(&mut self, wait: Option<gst::ClockTime>) -> Option<GstError> {
        let bus = self.pipeline.bus()?;
        let types =
            [gst::MessageType::Error, gst::MessageType::Warning, gst::MessageType::Latency, gst::MessageType::Element];
        // Waiting for no time at all would not even look.
        let next = || wait.map_or_else(|| bus.pop_filtered(&types), |wait| bus.timed_pop_filtered(wait, &types));
        while let Some(message) = next() {
            match message.view() {
                gst::MessageView::Error(error) => return Some(self.lacks().unwrap_or_else(|| self.error_of(error))),
                gst::MessageView::Warning(warning) => {
                    tracing::warn!(camera = self.settings.camera.name(), "{}", warning.error());
                }
                gst::MessageView::Latency(_) => {
                    // A pipeline that cannot tell its latency keeps the one it had.
                    let _ = self.pipeline.recalculate_latency();
                    self.asked = false;
                }
                gst::MessageView::Element(element) => self.missing.extend(element.structure().and_then(missing_plugin)),
                _ => {}
            }
        }
        None
    }

    fn error_of(&self, error: &gst::message::Error) -> GstError {
        let element = error.src().map_or_else(|| "pipeline".to_owned(), |s| s.name().to_string());
        let details = error.debug().unwrap_or_default();
        let debug = if details.is_empty() { String::new() } else { format!("\n  {details}") };
        if details.contains("not-negotiated") {
            return GstError::Negotiation { element, taken: taken(self.settings.camera), debug };
        }
        GstError::Pipeline { element, reason: error.error().to_string(), debug }
    }

    /// Asks the pipeline how late its frames are, until it knows.
    fn ask_latency(&mut self) {
        let (Some(port), Some(pad)) = (&self.port, self.sink.static_pad("sink")) else { return };
        let mut query = gst::query::Latency::new();
        if self.live && !self.asked && pad.peer_query(&mut query) {
            let (_, least, _) = query.result();
            port.reports_delay(i64::try_from(least.nseconds()).unwrap_or(i64::MAX));
            self.asked = true;
        }
    }
}

/// What a `missing-plugin` message says: a description, and the package that holds it.
fn missing_plugin(structure: &gst::StructureRef) -> Option<(String, Option<&'static str>)> {
    if structure.name() != "missing-plugin" {
        return None;
    }
    let text = |field: &str| structure.get::<String>(field).ok();
    let detail = structure.get::<gst::Caps>("detail").map(|caps| caps.to_string()).ok().or_else(|| text("detail"))?;
    let package = packages::of_missing(&text("type")?, &detail);
    Some((text("name").unwrap_or(detail), package))
}

impl Source for LaunchSource {
    fn is_live(&self) -> bool {
        self.live
    }

    fn start(&mut self, port: Port, pace: Pace) -> Result<(), SourceError> {
        self.sink.set_sync(pace == Pace::Realtime && !self.live);
        let clock = gst::SystemClock::obtain();
        self.pipeline.use_clock(Some(&clock));
        // Without a start time of its own the pipeline keeps the base time, which is the zero of the run.
        self.pipeline.set_start_time(gst::ClockTime::NONE);
        let since_zero = gst::ClockTime::from_nseconds(u64::try_from(port.clock().now_ns()).unwrap_or(0));
        self.pipeline.set_base_time(clock.time().saturating_sub(since_zero));
        self.sink.set_callbacks(self.callbacks(&port, pace));
        // A source without a single frame ended before anybody listened.
        if self.sink.is_eos() {
            port.end();
        }
        self.port = Some(port);
        if self.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(self.refusal("play").of(self.settings.camera));
        }
        Ok(())
    }

    fn poll(&mut self) {
        if let Some(error) = self.failure_on_bus(None)
            && let Some(port) = &self.port
        {
            port.fail(error.of(self.settings.camera));
        }
        self.ask_latency();
    }

    fn stop(&mut self) {
        if let Some(port) = self.port.take() {
            port.end();
        }
        // Going to Null cannot fail in a way that could be acted on.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Drop for LaunchSource {
    fn drop(&mut self) {
        self.stop();
    }
}
