//! `caf-run live`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use caf_console::{Console, Progress as _, StopFlag, WrongCall, claim, positive, print, say, unit, write_json};
use caf_rig::Geometry;
use caf_runtime::error::RuntimeError;
use caf_runtime::frame::Camera;
use caf_runtime::fusion::FusionSettings;
use caf_runtime::infrared::Follow;
use caf_runtime::live::{CameraSummary, EndedBy, LiveConfig, Summary, run};
use caf_runtime::source::clock::MonotonicClock;
use caf_runtime::source::kind::{Pace, SourceSpec};
use clap::Args;

use super::args::{WhenLostName, distance_ms, frames_per_second, milliseconds, queue, seconds};
use super::sinks::SinkArgs;
use super::supervisor::{Environment, Supervisor};
use super::vehicle::{DetectorArgs, ModelArgs, Vehicle, WithOrigin};

/// Share of the limits of 16-bit infrared that each frame keeps of the one before: after a second at 25 frames, 8 % are left.
const KEPT_OF_LIMITS: f32 = 0.9;
/// How long sinks may take to finish their files when a stage is stuck.
const LAST_FILES: Duration = Duration::from_secs(10);

/// Fuse two live cameras.
///
/// A source is a camera of Video4Linux (v4l2:/dev/video0, with ?format=YUYV&size=640x480&fps=30 and controls as you like), a GStreamer launch string (an
/// appsink is appended unless there is one), a video file, or a folder of frames
/// with a timestamps.csv in or beside it (else --fps gives the times). An interrupt or a termination is a proper end: every
/// file is finished, and the exit code is 0. A sink that fails, a camera that never began, and with --when-lost end one that
/// is lost, are none: what is complete is kept, and the exit code is 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  caf-run live --model pipeline.onnx \\
    --ir 'v4l2:/dev/v4l/by-id/usb-Thermal-video-index0?format=Y16' \\
    --vi v4l2:/dev/video0 \\
    --ir-latency-ms 45 --rig rig.toml --jsonl out.jsonl --summary out.json
  caf-run live --model pipeline.onnx --ir clip/ir --vi clip/vi \\
    --every-frame --video fused.webm
  caf-run live --bundle vehicle --public-key public.pem \\
    --ir 'v4l2src device=/dev/video2' --vi v4l2:/dev/video0 \\
    --jsonl out.jsonl
  caf-run live --print-config --ir clip/ir --vi clip/vi > live.toml
  caf-run live --config live.toml --model pipeline.onnx")]
pub struct LiveArgs {
    /// TOML file with options as its keys: `max-skew-ms = 10`. An option that is typed goes before its key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print all options with their values as a file for --config, and do nothing else.
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    model: ModelArgs,
    /// Infrared source.
    #[arg(long, value_name = "SOURCE")]
    ir: String,
    /// Visible source.
    #[arg(long, value_name = "SOURCE")]
    vi: String,
    /// How late the infrared timestamps are; the rig's value by default, else 0.
    #[arg(long, value_name = "MS", value_parser = milliseconds, allow_negative_numbers = true)]
    ir_latency_ms: Option<i64>,
    /// How late the visible timestamps are; the rig's value by default, else 0.
    #[arg(long, value_name = "MS", value_parser = milliseconds, allow_negative_numbers = true)]
    vi_latency_ms: Option<i64>,
    /// How much longer to wait for infrared frames than the latency that the source itself reports.
    #[arg(long, value_name = "MS", default_value = "0", value_parser = distance_ms, allow_negative_numbers = true)]
    ir_delay_ms: i64,
    /// How much longer to wait for visible frames than the latency that the source itself reports.
    #[arg(long, value_name = "MS", default_value = "0", value_parser = distance_ms, allow_negative_numbers = true)]
    vi_delay_ms: i64,
    /// Largest difference of capture times within a pair.
    #[arg(long, value_name = "MS", default_value = "20", value_parser = distance_ms, allow_negative_numbers = true)]
    max_skew_ms: i64,
    /// Frames per second of folders without timestamps.csv and of files without times, 0.01 to 1000.
    #[arg(long, default_value_t = 25.0, value_parser = frames_per_second, allow_negative_numbers = true)]
    fps: f64,
    /// Geometry of the two cameras; aligns the infrared image.
    #[arg(long, value_name = "FILE", conflicts_with = "bundle")]
    rig: Option<PathBuf>,
    /// Distance in metres at which the aligned images match best, for a rig that holds the cameras' pose [default: 30]
    #[arg(long, value_name = "M", value_parser = positive)]
    rig_distance_m: Option<f64>,
    #[command(flatten)]
    detector: DetectorArgs,
    /// Do not paint boxes and labels.
    #[arg(long)]
    no_draw: bool,
    /// Drop what cannot be kept up with; files run at their own speed. The default when a source is live.
    #[arg(long, conflicts_with = "every_frame")]
    realtime: bool,
    /// Drop nothing; files run as fast as they are fused. The default when no source is live.
    #[arg(long)]
    every_frame: bool,
    /// Frames that the queue of each camera and sink holds. In real time one pair waits for the model, one result for --udp, 64 for --jsonl.
    #[arg(long, value_name = "N", default_value = "4", value_parser = queue)]
    queue: u16,
    /// Stop after this time: of the clock when a source is live, else of the frames.
    #[arg(long, value_name = "S", value_parser = seconds, allow_negative_numbers = true)]
    seconds: Option<Duration>,
    /// A source that delivers nothing for this long has failed to start, or is lost.
    #[arg(long, value_name = "S", default_value = "20", value_parser = seconds, allow_negative_numbers = true)]
    patience_s: Duration,
    /// What a live camera means that ends, fails, is silent for two seconds or changes its size: it is opened again until it is back, or it
    /// ends the run. What is not live, as a file or a folder, always ends the run.
    #[arg(long, value_enum, default_value_t)]
    when_lost: WhenLostName,
    /// A stage that is at one image for this long is stuck: the run has failed, what it has written is finished, and the program ends with exit
    /// code 1. The first image may take ten minutes.
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds, allow_negative_numbers = true)]
    stuck_s: Duration,
    /// Make results of pairs alone. Else, in real time, one camera's frames go on while the other one is lost, silent, frozen, black,
    /// saturated, wrongly exposed or behind its shutter; the results say so.
    #[arg(long)]
    pairs_only: bool,
    /// Least score of a detection in results of the infrared camera alone, 0 to 1 [default: that of pairs]
    #[arg(long, value_name = "CONF", value_parser = unit)]
    ir_only_conf: Option<f64>,
    /// Least score of a detection in results of the visible camera alone, 0 to 1 [default: that of pairs]
    #[arg(long, value_name = "CONF", value_parser = unit)]
    vi_only_conf: Option<f64>,
    #[command(flatten)]
    sinks: SinkArgs,
    /// Summary for machines.
    #[arg(long, value_name = "FILE", visible_alias = "json")]
    summary: Option<PathBuf>,
}

impl LiveArgs {
    pub fn run(self) -> anyhow::Result<()> {
        self.check_paths()?;
        claim(self.summary.as_deref())?;
        let typed = self.rig.as_deref().map(Geometry::read).transpose()?;
        if self.rig_distance_m.is_some() && typed.is_none() && !self.model.is_bundle() {
            let what = "--rig-distance-m: expected --rig or a --bundle with a rig, found neither";
            return Err(WrongCall(what.to_owned()).into());
        }

        let pace = match (self.realtime, self.every_frame) {
            (true, _) => Some(Pace::Realtime),
            (_, true) => Some(Pace::EveryFrame),
            _ => None,
        };
        let mut vehicle = self.model.load()?;
        let nms = self.detector.settings(&mut vehicle);
        let rig = rig(typed, self.rig_distance_m, &mut vehicle)?;
        let stated = rig.as_ref().map(|(rig, _)| rig.latency_ms()).unwrap_or_default();
        let [ir_stated, vi_stated] = [stated.infrared, stated.visible].map(|ms| (ms * 1e6).round() as i64);
        let config = LiveConfig {
            sources: [source(Camera::Infrared, &self.ir)?, source(Camera::Visible, &self.vi)?],
            latency_ns: [self.ir_latency_ms.unwrap_or(ir_stated), self.vi_latency_ms.unwrap_or(vi_stated)],
            delay_ns: [self.ir_delay_ms, self.vi_delay_ms],
            fps: self.fps,
            max_skew_ns: self.max_skew_ms,
            pace,
            queue: usize::from(self.queue),
            fusion: FusionSettings {
                rig,
                nms,
                alone_conf: [self.ir_only_conf, self.vi_only_conf].map(|conf| conf.map(|conf| conf as f32)),
                draw: !self.no_draw,
                follow: Follow::Slowly(KEPT_OF_LIMITS),
            },
            patience: self.patience_s,
            when_lost: self.when_lost.into(),
            pairs_only: self.pairs_only,
            sinks: self.sinks.specs(),
            limit: self.seconds,
            stuck: self.stuck_s,
            clock: Arc::new(MonotonicClock::default()),
            board: Arc::default(),
        };
        let (console, stop) = (Console::default(), StopFlag::on_signals().context("interrupts cannot be caught")?);
        console.watch("live");
        let mut supervisor = Supervisor::new(&Environment::of_process());
        let mut stuck_since: Option<Instant> = None;
        let done = run(vehicle.model, &config, &|| stop.is_raised(), &mut |p| {
            let seconds = p.elapsed.as_secs_f64();
            let rate = p.fused as f64 / seconds.max(1e-3);
            let state = format!("{seconds:.0} s: {} pairs, {rate:.1} per second, {} dropped", p.fused, p.dropped);
            console.advance(p.fused, &state);
            supervisor.look(&config.board, Instant::now());
            if let Some(stuck) = p.stuck
                && (p.written || stuck_since.get_or_insert_with(Instant::now).elapsed() >= LAST_FILES)
            {
                // Its thread cannot be ended, so that the run never comes back.
                console.end();
                say!("error: {}", RuntimeError::Stuck(stuck));
                std::process::exit(1);
            }
        });
        supervisor.end();
        console.end();
        let done = done?;
        print(&done.summary.table())?;
        write_json(self.summary.as_deref(), &WithOrigin::new(&done.summary, &vehicle.origin))?;
        match done.failure {
            Some(error) => Err(error.into()),
            None if done.summary.account.pairs.fused == 0 && done.summary.ended_by != EndedBy::Interrupt => {
                bail!(no_pair(&done.summary, &config))
            }
            None => Ok(()),
        }
    }

    fn check_paths(&self) -> Result<(), WrongCall> {
        let paths = self.model.paths().file("--config", self.config.as_deref()).file("--rig", self.rig.as_deref());
        let sources = [("--ir", Path::new(&self.ir)), ("--vi", Path::new(&self.vi))];
        // Anything else is a launch string.
        let paths =
            sources.into_iter().fold(paths, |paths, (option, source)| match (source.is_dir(), source.is_file()) {
                (true, _) => paths.folder(option, source),
                (_, true) => paths.file(option, source),
                _ => paths,
            });
        let paths = self.sinks.paths(paths);
        paths.writes("--summary", self.summary.as_deref()).check()
    }
}

/// The geometry to align by: the file that was named, or the bundle's; a distance that was typed goes before the bundle's.
fn rig(
    typed: Option<Geometry>,
    distance_m: Option<f64>,
    vehicle: &mut Vehicle,
) -> Result<Option<(Geometry, Option<f64>)>, WrongCall> {
    if let Some(rig) = typed {
        return Ok(Some((rig, distance_m)));
    }
    match (vehicle.rig.take(), distance_m) {
        (Some((rig, said)), Some(typed)) => {
            match said {
                Some(said) if said == typed => {}
                Some(said) => vehicle.overrides("--rig-distance-m", typed, said),
                None => vehicle.overrides("--rig-distance-m", typed, "the rig's usual distance"),
            }
            Ok(Some((rig, Some(typed))))
        }
        (None, Some(_)) => Err(WrongCall("--rig-distance-m: the bundle has no rig".to_owned())),
        (rig, None) => Ok(rig),
    }
}

/// A source as the user names it.
fn source(camera: Camera, text: &str) -> Result<SourceSpec, RuntimeError> {
    let kinds = [caf_runtime::source::SOURCES, caf_v4l::SOURCES, caf_gst::SOURCES].concat();
    Ok(SourceSpec::find(camera, text, &kinds)?)
}

/// Why there is no pair, as far as it can be told.
fn no_pair(summary: &Summary, config: &LiveConfig) -> String {
    let [infrared, visible] = [&summary.account.infrared, &summary.account.visible];
    let mut text = format!(
        "no pair: {} infrared and {} visible frames came, and none of them lie within {} ms of each other (--max-skew-ms; \
         cameras that are not synchronised lie up to half a frame's time apart)",
        infrared.delivered,
        visible.delivered,
        config.max_skew_ns as f64 / 1e6
    );
    // A camera whose frames come later than they are waited for: the other one's were given up before.
    let late = |one: &CameraSummary, other: &CameraSummary, waited_ns: i64| {
        let apart = one.source.delivery.p50_ms - other.source.delivery.p50_ms;
        (apart > config.max_skew_ns.saturating_add(waited_ns) as f64 / 1e6).then_some(apart.ceil())
    };
    let [of_ir, of_vi] = config.delay_ns;
    for (one, other, option, waited_ns) in [(infrared, visible, "ir", of_ir), (visible, infrared, "vi", of_vi)] {
        if let Some(apart) = late(one, other, waited_ns) {
            let name = if option == "ir" { "infrared" } else { "visible" };
            text += &format!(
                "; the {name} frames arrive {:.0} ms after their capture, {apart} ms later than the others: if their times \
                 are right, wait for them by --{option}-delay-ms {apart}, else correct the times by --{option}-latency-ms",
                one.source.delivery.p50_ms
            );
        }
    }
    text
}
