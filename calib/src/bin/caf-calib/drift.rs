//! `caf-calib drift`.

use std::path::PathBuf;

use caf_calib::{CalibError, Drift, DriftSettings, Look, Offset, Watch, drift, list, read, spread};
use caf_console::{Console, Interrupted, Paths, Progress as _, StopFlag, claim, out, say, within, write_json};
use caf_image::IrRange;
use caf_rig::Geometry;
use clap::Args;
use rayon::prelude::*;

/// Look whether a rig still holds on newer pairs: if not, by how much, and since which pair.
///
/// Pairs are taken in the order of their names, as a recording numbers them, and compared with where the rig puts them, in windows of some
/// pairs side by side. What counts is a lasting shift, turn or growth of the picture that neither the rig's own error nor the spread from
/// pair to pair explains. The exit code is 0 where the rig holds, 1 where it has moved, and 1 where the recording gives no answer: too few
/// pairs that can be used, a frozen camera, nothing that both cameras show. The last line and --json say which.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  caf-calib drift --rig calibration/rig.toml --ir week/ir --vi week/vi
  caf-calib drift --rig rig.toml --ir week/ir --vi week/vi --json drift.json ||
    caf-calib rig --ir week/ir --vi week/vi --out anew")]
pub struct DriftArguments {
    /// The rig
    #[arg(long, value_name = "FILE")]
    rig: PathBuf,
    /// Folder of infrared images, in the order of their names
    #[arg(long, value_name = "DIR")]
    ir: PathBuf,
    /// Folder of visible images of the same names
    #[arg(long, value_name = "DIR")]
    vi: PathBuf,
    /// Pairs of a window; twice as many are the least that give an answer
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(4..=500))]
    window: u16,
    /// Probability of a false alarm on a recording in which nothing has moved
    #[arg(long, value_name = "P", default_value_t = 0.01, value_parser = false_alarm)]
    false_alarm: f64,
    /// How far scenes at other distances than those that the rig was made from may move the corners, infrared pixels
    #[arg(long, value_name = "PX", default_value_t = 0.5, value_parser = scenes_px)]
    scenes_px: f64,
    /// How far the corners of the rig may be off, root mean square, infrared pixels [default: what the rig says; one typed by hand or with a
    /// pose says nothing]
    #[arg(long, value_name = "PX", value_parser = rig_px)]
    rig_px: Option<f64>,
    /// Distance for which a rig with a pose is taken, metres
    #[arg(long, value_name = "M")]
    distance_m: Option<f64>,
    /// Pairs to use at most, spread evenly over the recording
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u16).range(8..=5000))]
    most_pairs: u16,
    /// How infrared of 16 bits (or floats) becomes gray: full, a window MIN..MAX, min_max, or percentiles LOW,HIGH
    #[arg(long, value_name = "RANGE", default_value = "1,99", allow_hyphen_values = true)]
    ir_range: IrRange,
    /// Of the draws that the probability of what was found is taken from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Report for machines
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn false_alarm(text: &str) -> Result<f64, String> {
    // Of 2000 draws, less cannot be told.
    within(text, "a probability", 0.001, 0.5)
}

fn scenes_px(text: &str) -> Result<f64, String> {
    within(text, "a number", 0.01, 100.0)
}

fn rig_px(text: &str) -> Result<f64, String> {
    within(text, "a number", 0.0, 100.0)
}

/// Pairs that are in memory at once.
const AT_ONCE: usize = 8;

/// Runs the command.
pub fn run(arguments: &DriftArguments) -> anyhow::Result<()> {
    let paths = Paths::default().folder("--ir", arguments.ir.as_path()).folder("--vi", arguments.vi.as_path());
    paths.file("--rig", arguments.rig.as_path()).writes("--json", arguments.json.as_deref()).check()?;
    claim(arguments.json.as_deref())?;
    let watch = Watch::new(&Geometry::read(&arguments.rig)?, arguments.distance_m, arguments.rig_px)?;
    let pairs = spread(list(&arguments.ir, &arguments.vi)?, usize::from(arguments.most_pairs));
    let stop = StopFlag::on_signals()?;
    let console = Console::default();
    console.begin("drift", pairs.len() as u64, 0);
    let mut looks: Vec<Look> = Vec::new();
    for some in pairs.chunks(AT_ONCE) {
        if stop.is_raised() {
            console.end();
            return Err(Interrupted.into());
        }
        let shots = read(some, arguments.ir_range)?;
        looks.extend(shots.par_iter().map(|shot| watch.look(shot)).collect::<Result<Vec<Look>, CalibError>>()?);
        console.advance(looks.len() as u64, "pairs compared");
    }
    console.end();
    let settings = DriftSettings {
        stretch: usize::from(arguments.window),
        false_alarm: arguments.false_alarm,
        scenes_px: arguments.scenes_px,
        seed: arguments.seed,
    };
    let again = |places: &[usize]| {
        let some: Vec<_> = places.iter().filter_map(|place| pairs.get(*place).cloned()).collect();
        read(&some, arguments.ir_range)
    };
    let found = match drift(&watch, &looks, &settings, again) {
        Ok(found) => found,
        Err(error) => {
            if !error.is_wrong_call() {
                let report = serde_json::json!({ "verdict": "no_answer", "reason": error.to_string() });
                write_json(arguments.json.as_deref(), &report)?;
            }
            return Err(error.into());
        }
    };
    for line in &found.set_aside {
        say!("not used: {line}");
    }
    let verdict = if found.holds { "holds" } else { "moved" };
    write_json(arguments.json.as_deref(), &serde_json::json!({ "verdict": verdict, "drift": found }))?;
    if found.holds {
        out!("{}", held(&found))?;
        return Ok(());
    }
    for stretch in &found.stretches {
        out!("{} to {}: {}", stretch.first.name, stretch.last.name, told(&stretch.offset))?;
    }
    anyhow::bail!("{}", moved(&found))
}

fn told(offset: &Offset) -> String {
    let Offset { corners_px, deviation_px, shift_px: [x, y], turn_deg, growth_percent } = offset;
    format!(
        "corners off by {corners_px:.1} px (standard deviation {deviation_px:.1}): {x:+.1} px right, {y:+.1} px down, turned by {turn_deg:+.2} \
         degrees, larger by {growth_percent:+.1} %"
    )
}

fn held(found: &Drift) -> String {
    format!(
        "the rig holds on {} pairs: {}; a rig that holds looks so, or farther off, in {:.0} % of recordings",
        found.pairs,
        told(&found.offset),
        100.0 * found.probability.unwrap_or(1.0)
    )
}

fn moved(found: &Drift) -> String {
    let since = found.since.as_ref().map_or_else(String::new, |since| {
        let older = if since.may_be_older { ", or before the recording" } else { "" };
        format!(
            " since {} (pair {}; between {} and {}{older})",
            since.pair.name,
            since.pair.index + 1,
            since.earliest.name,
            since.latest.name
        )
    });
    let chance = found.probability.map_or_else(
        || "so far that nothing matches near the rig".to_owned(),
        |chance| format!("a rig that holds looks so in {:.2} % of recordings", 100.0 * chance),
    );
    format!(
        "the rig has moved{since}: {}; {chance}. Look whether a mount is loose, and calibrate anew with caf-calib rig from pairs after it",
        told(&found.offset)
    )
}
