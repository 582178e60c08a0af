//! `caf-run live`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use caf_console::{Console, Progress as _, StopFlag, WrongCall, claim, out, print, say, write_json};
use caf_rig::Rig;
use clap::Args;

use super::args::{DetectorArgs, ModelArgs, distance_ms, frames_per_second, milliseconds, positive, seconds};
use crate::fusion::FusionSettings;
use crate::live::{EndedBy, LiveConfig, OutputFiles, run};
use crate::session::Model;
use crate::source::{Pace, SourceSpec};

/// Fuse two live cameras.
///
/// A source is a GStreamer launch string (an appsink is appended unless it ends in one), a video file, or a folder of
/// frames with a timestamps.csv in or beside it (else --fps gives the times). An interrupt or a termination is a proper end:
/// every file is finished, and the exit code is 0.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  caf-run live --model pipeline.onnx \\
    --ir 'v4l2src device=/dev/video2' --vi 'v4l2src device=/dev/video0' \\
    --ir-latency-ms 45 --rig rig.toml --jsonl out.jsonl --summary out.json
  caf-run live --model pipeline.onnx --ir clip/ir --vi clip/vi \\
    --every-frame --video fused.webm")]
pub struct LiveArgs {
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
    /// Largest difference of capture times within a pair.
    #[arg(long, value_name = "MS", default_value = "20", value_parser = distance_ms, allow_negative_numbers = true)]
    max_skew_ms: i64,
    /// Frames per second of folders without timestamps.csv, 0.01 to 1000.
    #[arg(long, default_value_t = 25.0, value_parser = frames_per_second, allow_negative_numbers = true)]
    fps: f64,
    /// Geometry of the two cameras; aligns the infrared image.
    #[arg(long, value_name = "FILE")]
    rig: Option<PathBuf>,
    /// Distance in metres at which the aligned images match best.
    #[arg(long, value_name = "M", default_value_t = 30.0, value_parser = positive, requires = "rig")]
    rig_distance_m: f64,
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
    /// Frames that each camera's queue and the sinks' queue hold; in real time one pair waits for the model.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    queue: u16,
    /// Stop after this time.
    #[arg(long, value_name = "S", value_parser = seconds, allow_negative_numbers = true)]
    seconds: Option<Duration>,
    /// Give up when a source has not delivered its first frame after this time.
    #[arg(long, value_name = "S", default_value = "20", value_parser = seconds, allow_negative_numbers = true)]
    patience_s: Duration,
    /// Video of the fused images: .webm, .mp4, .mkv or .avi.
    #[arg(long, value_name = "FILE")]
    video: Option<PathBuf>,
    /// Detections, one JSON object per pair and line.
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,
    /// Summary for machines.
    #[arg(long, value_name = "FILE", visible_alias = "json")]
    summary: Option<PathBuf>,
}

impl LiveArgs {
    pub fn run(self) -> anyhow::Result<()> {
        self.check_paths()?;
        claim(self.summary.as_deref())?;
        let rig = self.rig.as_deref().map(Rig::read).transpose()?;
        let stated = rig.as_ref().map_or([0.0; 2], |r| [r.latency_ms.infrared, r.latency_ms.visible]);
        let [ir_stated, vi_stated] = stated.map(|ms| (ms * 1e6).round() as i64);
        let pace = match (self.realtime, self.every_frame) {
            (true, _) => Some(Pace::Realtime),
            (_, true) => Some(Pace::EveryFrame),
            _ => None,
        };
        let model = Model::load(&self.model.model, self.model.options())?;
        announce(&model);
        let config = LiveConfig {
            sources: [SourceSpec::parse(&self.ir), SourceSpec::parse(&self.vi)],
            latency_ns: [self.ir_latency_ms.unwrap_or(ir_stated), self.vi_latency_ms.unwrap_or(vi_stated)],
            fps: self.fps,
            max_skew_ns: self.max_skew_ms,
            pace,
            queue: usize::from(self.queue),
            fusion: FusionSettings {
                rig: rig.map(|r| (r, self.rig_distance_m)),
                nms: self.detector.settings(),
                draw: !self.no_draw,
            },
            patience: self.patience_s,
            files: OutputFiles { video: self.video, lines: self.jsonl },
            limit: self.seconds,
        };
        let (console, stop) = (Console::default(), StopFlag::on_signals().context("interrupts cannot be caught")?);
        console.watch("live");
        let summary = run(model, &config, &stop, &mut |p| {
            let seconds = p.elapsed.as_secs_f64();
            let rate = p.written as f64 / seconds.max(1e-3);
            let state = format!("{seconds:.0} s: {} pairs, {rate:.1} per second, {} dropped", p.written, p.dropped);
            console.advance(p.written, &state);
        });
        console.end();
        let summary = summary?;
        print(&summary.table())?;
        if let (Some(video), Some(encoder)) = (&summary.video, summary.encoder) {
            out!("video: {} by {encoder}", video.display())?;
        }
        write_json(self.summary.as_deref(), &summary)?;
        if summary.pairs.written == 0 && summary.ended_by != EndedBy::Interrupt {
            bail!(
                "no pair: {} infrared and {} visible frames came, and none of them lie within {} ms of each other",
                summary.infrared.delivered,
                summary.visible.delivered,
                config.max_skew_ns as f64 / 1e6
            );
        }
        Ok(())
    }

    fn check_paths(&self) -> Result<(), WrongCall> {
        let paths = self.model.paths().file("--rig", self.rig.as_deref());
        let sources = [("--ir", Path::new(&self.ir)), ("--vi", Path::new(&self.vi))];
        // Anything else is a launch string.
        let paths =
            sources.into_iter().fold(paths, |paths, (option, source)| match (source.is_dir(), source.is_file()) {
                (true, _) => paths.folder(option, source),
                (_, true) => paths.file(option, source),
                _ => paths,
            });
        let paths = paths.writes("--video", self.video.as_deref()).writes("--jsonl", self.jsonl.as_deref());
        paths.writes("--summary", self.summary.as_deref()).check()
    }
}

/// Says where a model runs.
pub fn announce(model: &Model) {
    let reason = model.reason().map(|r| format!(" ({r})")).unwrap_or_default();
    say!("provider: {}{reason}", model.provider().name());
}
