//! `caf-calib time`.

use std::path::{Path, PathBuf};

use caf_calib::{CalibError, Glance, Motion, View, latency, views};
use caf_console::{
    Console, Interrupted, Paths, Progress as _, StopFlag, WrongCall, claim, out, say, within, write_json,
};
use caf_image::recording::{RecordedFrame, recording};
use caf_image::{Camera, IrRange, Plane, color, read_ir, read_vi};
use caf_rig::{Geometry, Latency};
use clap::Args;
use rayon::prelude::*;

/// Find how much later the timestamps of one camera are than those of the other, from a recording of both.
///
/// What moves before both cameras changes both images at the same moment; the latency is the shift in time at which these changes fit best.
/// It is found to a small part of a frame, for any two frame rates, and refused where nothing moves or no latency fits best. A clip is
/// a folder of frames with a timestamps.csv in or beside it, as caf-run live takes them (else --ir-fps and --vi-fps give the times, and both clips are taken to begin at once). Images that are not
/// aligned need the cameras' --rig: else what crosses the picture reaches one camera's view later, which looks like a latency.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  caf-calib time --ir clip/ir --vi clip/vi
  caf-calib time --ir clip/ir --vi clip/vi --rig calibration/rig.toml --write
  caf-run live --rig calibration/rig.toml --model pipeline.onnx ...")]
pub struct TimeArguments {
    /// Folder of infrared frames
    #[arg(long, value_name = "DIR")]
    ir: PathBuf,
    /// Folder of visible frames
    #[arg(long, value_name = "DIR")]
    vi: PathBuf,
    /// Where the cameras look, for images that are not aligned
    #[arg(long, value_name = "FILE")]
    rig: Option<PathBuf>,
    /// Write the latency into the rig file, in place of what it says
    #[arg(long, requires = "rig")]
    write: bool,
    /// Infrared frames per second, for a folder without timestamps.csv
    #[arg(long, value_name = "FPS", default_value_t = 25.0, value_parser = fps)]
    ir_fps: f64,
    /// Visible frames per second, for a folder without timestamps.csv
    #[arg(long, value_name = "FPS", default_value_t = 25.0, value_parser = fps)]
    vi_fps: f64,
    /// Largest latency to look for, to both sides
    #[arg(long, value_name = "MS", default_value_t = 1000.0, value_parser = most_ms)]
    most_ms: f64,
    /// Use at most so much of the recording, from its start
    #[arg(long, value_name = "S", default_value_t = 40.0, value_parser = seconds)]
    seconds: f64,
    /// How infrared of 16 bits (or floats) becomes gray: full, a window MIN..MAX, min_max, or percentiles LOW,HIGH
    #[arg(long, value_name = "RANGE", default_value = "1,99", allow_hyphen_values = true)]
    ir_range: IrRange,
    /// Report for machines
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn fps(text: &str) -> Result<f64, String> {
    within(text, "frames per second", 0.01, 1000.0)
}

fn most_ms(text: &str) -> Result<f64, String> {
    within(text, "milliseconds", 10.0, 10_000.0)
}

fn seconds(text: &str) -> Result<f64, String> {
    within(text, "seconds", 1.0, 600.0)
}

/// Clocks that drift by more than this over half a recording are told, ms.
const DRIFT_MS: f64 = 5.0;

/// Runs the command.
pub fn run(arguments: &TimeArguments) -> anyhow::Result<()> {
    let paths = Paths::default().folder("--ir", arguments.ir.as_path()).folder("--vi", arguments.vi.as_path());
    paths.file("--rig", arguments.rig.as_deref()).writes("--json", arguments.json.as_deref()).check()?;
    claim(arguments.json.as_deref())?;
    let geometry = arguments.rig.as_deref().map(Geometry::read).transpose()?;
    let stop = StopFlag::on_signals()?;
    let mut clips = [
        recording(&arguments.ir, Camera::Infrared, arguments.ir_fps).map_err(CalibError::from)?,
        recording(&arguments.vi, Camera::Visible, arguments.vi_fps).map_err(CalibError::from)?,
    ];
    let origin_ns = clips.iter().flatten().map(|frame| frame.stamped_ns).min().unwrap_or(0);
    for clip in &mut clips {
        clip.retain(|frame| (frame.stamped_ns.saturating_sub(origin_ns)) as f64 <= arguments.seconds * 1e9);
    }
    let read = |camera: Camera, path: &Path| -> anyhow::Result<Plane> {
        Ok(match camera {
            Camera::Infrared => read_ir(path, arguments.ir_range)?,
            Camera::Visible => color::luma(&read_vi(path)?),
        })
    };
    let [Some(ir), Some(vi)] = clips.each_ref().map(|clip| clip.first()) else {
        anyhow::bail!("expected frames of both cameras in the first {} s, found them of one", arguments.seconds);
    };
    let sizes = [read(Camera::Infrared, &ir.path)?.size(), read(Camera::Visible, &vi.path)?.size()];
    if let Some(expected) = geometry.as_ref().map(Geometry::sizes).filter(|expected| *expected != sizes) {
        let [[ir, vi], [found_ir, found_vi]] = [expected, sizes];
        let call = format!(
            "--rig: expected infrared images of {ir} and visible ones of {vi}, found {found_ir} and {found_vi}"
        );
        return Err(WrongCall(call).into());
    }
    let map = geometry.as_ref().map(|geometry| geometry.vis_from_ir(None)).transpose()?;
    let views = views(sizes[0], sizes[1], map.as_ref())?;
    let console = Console::default();
    console.begin("time", 2, 0);
    let mut motions = Vec::new();
    for ((camera, clip), view) in Camera::BOTH.into_iter().zip(&clips).zip(&views) {
        let [expected_ir, expected_vi] = sizes;
        let expected = if camera == Camera::Infrared { expected_ir } else { expected_vi };
        let sized = |path: &Path| -> anyhow::Result<Plane> {
            let gray = read(camera, path)?;
            let found = gray.size();
            let other = || CalibError::OtherSize { camera: camera.name(), path: path.to_owned(), expected, found };
            anyhow::ensure!(found == expected, other());
            Ok(gray)
        };
        let frames = glances(clip, view, &sized, &stop)?;
        let told = format!("{} {} frames", frames.len(), camera.name());
        motions.push(Motion::of(camera.name(), frames, origin_ns)?);
        console.advance(motions.len() as u64, &told);
    }
    console.end();
    let [ir, vi] = motions.as_slice() else { anyhow::bail!("expected the motion of two cameras") };
    let found = latency(ir, vi, arguments.most_ms)?;
    match found.halves_differ_ms {
        Some(ms) if ms.abs() > DRIFT_MS.max(4.0 * found.deviation_ms) => say!(
            "warning: the latency changes by {ms:.1} ms from the first half of the recording to the second: the clocks drift against one \
             another, or the cameras were started anew"
        ),
        Some(_) => {}
        None => say!(
            "warning: in one half of the recording too little moves to find the latency: whether the clocks drift against one another is \
             not known"
        ),
    }
    let late_ms = found.infrared_late_ms;
    // Only the difference can be seen.
    let latency_ms = Latency { infrared: late_ms.max(0.0), visible: (-late_ms).max(0.0) };
    let (camera, option, by_ms) = if late_ms >= 0.0 {
        ("infrared", "--ir-latency-ms", late_ms)
    } else {
        ("visible", "--vi-latency-ms", -late_ms)
    };
    out!(
        "the {camera} timestamps are late by {by_ms:.1} ms (standard deviation {:.1} ms; fits {:.0} times as well as others): caf-run live {option} \
         {by_ms:.1}",
        found.deviation_ms,
        found.contrast
    )?;
    if let (true, Some(geometry), Some(path)) = (arguments.write, geometry, &arguments.rig) {
        geometry.with_latency_ms(latency_ms).write(path)?;
        say!("{}: written with this latency", path.display());
    }
    write_json(arguments.json.as_deref(), &serde_json::json!({ "measured": found, "latency_ms": latency_ms }))?;
    Ok(())
}

fn glances(
    clip: &[RecordedFrame],
    view: &View,
    read: &(dyn Fn(&Path) -> anyhow::Result<Plane> + Sync),
    stop: &StopFlag,
) -> anyhow::Result<Vec<(i64, Glance)>> {
    let glance = |frame: &RecordedFrame| -> anyhow::Result<(i64, Glance)> {
        if stop.is_raised() {
            return Err(Interrupted.into());
        }
        Ok((frame.stamped_ns, view.glance(read(&frame.path)?)))
    };
    clip.par_iter().map(glance).collect()
}
