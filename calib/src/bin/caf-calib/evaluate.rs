//! `caf-calib evaluate`.

use std::path::PathBuf;

use caf_calib::{Trial, TrialSettings, list, read, summary, trial};
use caf_console::{Console, Interrupted, Paths, Progress as _, StopFlag, WrongCall, claim, out, write_json};
use caf_geometry::Size;
use caf_image::{IrRange, list as names};
use clap::Args;

/// Measure how well known maps are found again, on pairs that are aligned already.
///
/// For each rig a homography is drawn (shift of 24 pixels, scale of 5 %, rotation of 3 degrees, perspective to match, to both sides), the
/// visible images of some pairs are warped by it, and the map is looked for as `caf-calib rig` does. The error is the mean distance
/// of the four corners, in pixels. With --identity nothing is warped: what is found then is how far the pairs themselves are from aligned.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  caf-calib evaluate --ir set/ir --vi set/vi --rigs 50 --pairs 10 --seed 1")]
pub struct EvaluateArguments {
    /// Folder of infrared images, of any sizes
    #[arg(long, value_name = "DIR")]
    ir: PathBuf,
    /// Folder of visible images of the same names
    #[arg(long, value_name = "DIR")]
    vi: PathBuf,
    /// Use only the names of this list, one a line
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// How infrared of 16 bits (or floats) becomes gray
    #[arg(long, value_name = "RANGE", default_value = "1,99", allow_hyphen_values = true)]
    ir_range: IrRange,
    /// Rigs to draw
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10000))]
    rigs: u16,
    /// Pairs of each
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=500))]
    pairs: u16,
    /// All images are resized to this
    #[arg(long, value_name = "WxH", default_value = "512x320")]
    size: Size,
    /// Of the draw
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Warp nothing
    #[arg(long)]
    identity: bool,
    /// Every rig for machines
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &EvaluateArguments) -> anyhow::Result<()> {
    let paths = Paths::default().folder("--ir", arguments.ir.as_path()).folder("--vi", arguments.vi.as_path());
    paths.file("--names", arguments.names.as_deref()).writes("--json", arguments.json.as_deref()).check()?;
    claim(arguments.json.as_deref())?;
    let mut pairs = list(&arguments.ir, &arguments.vi)?;
    if let Some(path) = &arguments.names {
        let listed = names::read_names(path)?;
        let listed: Vec<String> =
            listed.iter().map(|l| names::resolve(&l.name, |name| pairs.iter().any(|p| p.name == name))).collect();
        if let Some(absent) = listed.iter().find(|name| pairs.iter().all(|pair| pair.name != **name)) {
            anyhow::bail!("{}: {absent}: expected a pair of this name, found none", path.display());
        }
        pairs.retain(|pair| listed.contains(&pair.name));
    }
    let count = usize::from(arguments.pairs);
    if pairs.len() < count {
        return Err(WrongCall(format!("--pairs: expected at most {}, the pairs there are", pairs.len())).into());
    }
    let stop = StopFlag::on_signals()?;
    let shots = read(&pairs, arguments.ir_range)?;
    let settings = TrialSettings {
        rigs: usize::from(arguments.rigs),
        pairs: count,
        size: arguments.size,
        seed: arguments.seed,
        identity: arguments.identity,
    };
    let console = Console::default();
    console.begin("evaluate", u64::from(arguments.rigs), 0);
    let mut trials: Vec<Trial> = Vec::new();
    for number in 0..u64::from(arguments.rigs) {
        if stop.is_raised() {
            console.end();
            return Err(Interrupted.into());
        }
        trials.push(trial(&shots, &settings, number)?);
        console.advance(number + 1, &format!("median {:.2} px", summary(&trials).median_px));
    }
    console.end();
    let all = summary(&trials);
    out!(
        "{} rigs of {count} pairs, {} not found: corner error {:.2} px (median), {:.2} px (95 %); stated {:.2} px; {:.1} s a rig",
        all.rigs,
        all.refused,
        all.median_px,
        all.p95_px,
        all.stated_median_px,
        all.seconds
    )?;
    write_json(arguments.json.as_deref(), &serde_json::json!({ "summary": all, "rigs": trials }))?;
    Ok(())
}
