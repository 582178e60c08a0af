//! Rendered clips of two cameras, as frames with timestamps.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use caf_geometry::Size;
use caf_rig::Rig;
use rayon::prelude::*;
use serde::Serialize;

use super::folder::{Staged, io, label_text, write_gray, write_rgb, write_text};
use super::{Class, Condition, Scene, SceneError, SceneSpec};

/// Which clip to render.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipSpec {
    /// Decides the scene.
    pub seed: u64,
    /// Size of the visible frames.
    pub size: Size,
    /// Drawn from the seed when `None`.
    pub condition: Option<Condition>,
    /// Length; at most an hour.
    pub seconds: f64,
    /// Frames a second of both cameras, above 0, at most 240.
    pub fps: f64,
    /// How much later than the visible frame of the same number the infrared camera takes its frame, ms; may be negative.
    pub infrared_skew_ms: f64,
    /// The two cameras; `None` for images that coincide. See [`offset_rig`](super::offset_rig).
    pub rig: Option<Rig>,
    /// Replace a folder that holds a rendered clip.
    pub replace: bool,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClipSummary {
    /// Frames of each camera.
    pub frames: usize,
    /// The scene's condition.
    pub condition: Condition,
    /// Labels in all frames.
    pub labels: usize,
}

/// Renders a clip to `root`: `ir/NNNNNN.png`, `vi/NNNNNN.png`, `labels/NNNNNN.txt` and `ignore/NNNNNN.txt` (of the visible
/// frame), `classes.txt`, `rig.toml`, `timestamps.csv` (`frame,visible_s,infrared_s`: capture times since the clip's start).
/// Frames are numbered from 0. The folder appears complete or not at all. `progress` is told the number of frames done.
///
/// # Errors
/// As [`write_dataset`](super::write_dataset).
pub fn write_clip(root: &Path, spec: &ClipSpec, progress: &(dyn Fn(usize) + Sync)) -> Result<ClipSummary, SceneError> {
    let frames = frame_count(spec)?;
    let scene =
        Scene::generate(&SceneSpec { seed: spec.seed, size: spec.size, condition: spec.condition, rig: spec.rig })?;
    let staged = Staged::new(root, spec.replace)?;
    for folder in ["ir", "vi", "labels", "ignore"] {
        let path = staged.path().join(folder);
        fs::create_dir(&path).map_err(io(&path, "creating the folder"))?;
    }
    // The scene's clock starts late enough for no frame to be before it.
    let start_s = (-spec.infrared_skew_ms / 1000.0).max(0.0);
    let times = |frame: usize| {
        let visible_s = start_s + frame as f64 / spec.fps;
        (visible_s, visible_s + spec.infrared_skew_ms / 1000.0)
    };
    let done = AtomicUsize::new(0);
    let labels = (0..frames)
        .into_par_iter()
        .map(|frame| {
            let (visible_s, infrared_s) = times(frame);
            let pair = scene.render_skewed(visible_s, infrared_s);
            let file = |folder: &str, end: &str| staged.path().join(folder).join(format!("{frame:06}.{end}"));
            write_gray(&file("ir", "png"), &pair.ir, pair.ir_size)?;
            write_rgb(&file("vi", "png"), &pair.vi, pair.vi_size)?;
            write_text(&file("labels", "txt"), &label_text(&pair.labels))?;
            write_text(&file("ignore", "txt"), &label_text(&pair.ignore))?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(pair.labels.len())
        })
        .collect::<Result<Vec<usize>, SceneError>>()?;
    let mut csv = String::from("frame,visible_s,infrared_s\n");
    for frame in 0..frames {
        let (visible_s, infrared_s) = times(frame);
        // Writing to a String cannot fail.
        let _ = writeln!(csv, "{frame},{visible_s:.6},{infrared_s:.6}");
    }
    write_text(&staged.path().join("timestamps.csv"), &csv)?;
    let classes: String = Class::ALL.iter().map(|class| format!("{}\n", class.name())).collect();
    write_text(&staged.path().join("classes.txt"), &classes)?;
    scene.rig().write(&staged.path().join("rig.toml"))?;
    staged.finish()?;
    Ok(ClipSummary { frames, condition: scene.condition(), labels: labels.iter().sum() })
}

fn frame_count(spec: &ClipSpec) -> Result<usize, SceneError> {
    let refuse =
        |setting, expected, found: f64| Err(SceneError::Setting { setting, expected, found: found.to_string() });
    if !(spec.fps > 0.0 && spec.fps <= 240.0) {
        return refuse("fps", "above 0 and at most 240", spec.fps);
    }
    if !(spec.seconds > 0.0 && spec.seconds <= 3600.0) {
        return refuse("seconds", "above 0 and at most 3600", spec.seconds);
    }
    if !(-10_000.0..=10_000.0).contains(&spec.infrared_skew_ms) {
        return refuse("infrared_skew_ms", "between -10000 and 10000", spec.infrared_skew_ms);
    }
    Ok(((spec.seconds * spec.fps).round() as usize).max(1))
}
