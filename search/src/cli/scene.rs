//! `caf-search scene`

use super::WrongCall;
use anyhow::{Result, bail};
use caf_console::{Console, Paths, Progress, claim, out, write_json};
use caf_geometry::Size;
use caf_scene::{ClipSpec, Condition, DatasetSpec, SceneError, offset_rig, write_clip, write_dataset};
use std::path::PathBuf;
use std::sync::Once;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search scene --out scenes --count 200 --size 256x192 --seed 1\n  \
    caf-search scene --out clip --clip 8 --fps 10 --size 256x192 --condition night")]
pub(super) struct Args {
    /// Folder of the result; must be absent or empty.
    #[arg(long)]
    out: PathBuf,
    /// Number of pairs.
    #[arg(long, default_value_t = 200)]
    count: usize,
    /// Size of the images.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "256x192")]
    size: Size,
    /// Decides everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// day, night, fog, glare or tunnel; may be repeated. All in turn without it.
    #[arg(long, value_name = "NAME", value_parser = condition)]
    condition: Vec<Condition>,
    /// Pairs of each scene, 0.7 s apart.
    #[arg(long, default_value_t = 1)]
    frames_per_scene: usize,
    /// Share of the scenes in val.txt.
    #[arg(long, default_value_t = 0.25)]
    val_share: f64,
    /// Render a clip of so many seconds in place of a data set.
    #[arg(long, value_name = "SECONDS")]
    clip: Option<f64>,
    /// Frames a second of a clip.
    #[arg(long, default_value_t = 10.0)]
    fps: f64,
    /// How much later than the visible camera the infrared one takes its frame, ms.
    #[arg(long, default_value_t = 0.0, allow_hyphen_values = true)]
    skew_ms: f64,
    /// Put the infrared camera of a clip beside the visible one, turned and with its own lens; rig.toml says how.
    #[arg(long)]
    offset_rig: bool,
    /// Replace a rendered data set or clip.
    #[arg(long)]
    replace: bool,
    /// Write what was made as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn condition(text: &str) -> Result<Condition, String> {
    let names: Vec<&str> = Condition::ALL.iter().map(|c| c.name()).collect();
    Condition::ALL
        .into_iter()
        .find(|c| c.name() == text)
        .ok_or_else(|| format!("expected one of {}, found `{text}`", names.join(", ")))
}

pub(super) fn run(args: &Args) -> Result<()> {
    Paths::default().fills("--out", args.out.as_path()).writes("--json", args.json.as_deref()).check()?;
    claim(args.json.as_deref())?;
    let (total, what) = match args.clip {
        Some(seconds) => ((seconds * args.fps).round() as u64, "render clip"),
        None => (args.count as u64, "render scenes"),
    };
    // Rendering calls back from many threads. It begins to count when the request has proved good.
    let (console, begun) = (Console::default(), Once::new());
    let tick = |done: usize| {
        begun.call_once(|| console.begin(what, total, 0));
        console.advance(done as u64, "");
        if done as u64 == total {
            console.end();
        }
    };
    match args.clip {
        Some(seconds) => {
            if args.condition.len() > 1 {
                bail!(WrongCall(format!("a clip has one condition, found {}", args.condition.len())));
            }
            let spec = ClipSpec {
                seed: args.seed,
                size: args.size,
                condition: args.condition.first().copied(),
                seconds,
                fps: args.fps,
                infrared_skew_ms: args.skew_ms,
                rig: args.offset_rig.then(|| offset_rig(args.size)),
                replace: args.replace,
            };
            let summary = write_clip(&args.out, &spec, &tick).map_err(refused)?;
            out!(
                "{} frames ({}), {} labels in {}",
                summary.frames,
                summary.condition.name(),
                summary.labels,
                args.out.display()
            )?;
            write_json(args.json.as_deref(), &summary)?;
        }
        None => {
            let spec = DatasetSpec {
                count: args.count,
                seed: args.seed,
                size: args.size,
                conditions: args.condition.clone(),
                frames_per_scene: args.frames_per_scene,
                val_share: args.val_share,
                replace: args.replace,
            };
            let summary = write_dataset(&args.out, &spec, &tick).map_err(refused)?;
            out!("{} train and {} val pairs in {}", summary.train, summary.val, args.out.display())?;
            write_json(args.json.as_deref(), &summary)?;
        }
    }
    Ok(())
}

/// A folder that holds something already is a wrong call, which names the way out.
fn refused(error: SceneError) -> anyhow::Error {
    match error {
        SceneError::NotEmpty { path } => WrongCall(format!(
            "--out: {}: the folder is not empty; choose another one (--replace takes the place of a rendered set or clip alone)",
            path.display()
        ))
        .into(),
        error => error.into(),
    }
}
