//! `caf-calib evaluate`.

use std::path::{Path, PathBuf};

use caf_calib::{Summary, Trial, TrialSettings, list, read, remaining, spread, summary, trial};
use caf_console::{Console, Interrupted, Paths, Progress as _, StopFlag, WrongCall, claim, out, write_json};
use caf_geometry::Size;
use caf_image::folder::Pair;
use caf_image::{IrRange, list as names};
use clap::Args;

/// Measure how well known maps are found again, on pairs that are aligned already.
///
/// For each rig a homography is drawn (shift of 24 pixels, scale of 5 %, rotation of 3 degrees, perspective to match, to both sides), the
/// visible images of some pairs are warped by it, and the map is looked for as `caf-calib rig` does. The error is the mean distance
/// of the four corners, in pixels. With --identity nothing is warped: what is found then is how far the pairs themselves are from aligned.
/// With --others, the homography that best explains other pairs of the set, unwarped, is found first: what the set's publisher left between
/// aligned images, which no search can tell from the drawn map. The distance to both together is told beside the error.
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
    /// Names of other pairs, which say how far the set itself is from aligned
    #[arg(long, value_name = "FILE")]
    others: Option<PathBuf>,
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

/// Of other pairs at most so many are read: a minute's work.
const MOST_OTHERS: usize = 60;

/// Runs the command.
pub fn run(arguments: &EvaluateArguments) -> anyhow::Result<()> {
    let paths = Paths::default().folder("--ir", arguments.ir.as_path()).folder("--vi", arguments.vi.as_path());
    let paths = paths.file("--names", arguments.names.as_deref()).file("--others", arguments.others.as_deref());
    paths.writes("--json", arguments.json.as_deref()).check()?;
    claim(arguments.json.as_deref())?;
    let all = list(&arguments.ir, &arguments.vi)?;
    let (pairs, others) = (named(&all, arguments.names.as_deref())?, arguments.others.as_deref());
    let others = others.map(|path| named(&all, Some(path))).transpose()?;
    if let Some(both) = others.iter().flatten().find(|other| pairs.contains(other)) {
        let call = format!("--others: expected pairs that are not evaluated, found {} (see --names)", both.name);
        return Err(WrongCall(call).into());
    }
    let count = usize::from(arguments.pairs);
    if pairs.len() < count {
        let call = format!("--pairs: expected at most {}, the pairs there are, found {count}", pairs.len());
        return Err(WrongCall(call).into());
    }
    let stop = StopFlag::on_signals()?;
    let shots = read(&pairs, arguments.ir_range)?;
    let settings = TrialSettings {
        rigs: usize::from(arguments.rigs),
        pairs: count,
        size: arguments.size,
        seed: arguments.seed,
        identity: arguments.identity,
        remaining: match others {
            Some(others) => Some(remaining(&read(&spread(others, MOST_OTHERS), arguments.ir_range)?, arguments.size)?),
            None => None,
        },
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
        console.advance(number + 1, &told_so_far(&trials));
    }
    console.end();
    let all = summary(&trials);
    match trials.iter().find_map(|trial| trial.refused.as_ref()) {
        Some(reason) if all.refused == all.rigs => {
            out!("{} rigs of {count} pairs, none found; the first: {reason}", all.rigs)?;
        }
        _ => out!("{}", told(&all, count))?,
    }
    write_json(arguments.json.as_deref(), &serde_json::json!({ "summary": all, "rigs": trials }))?;
    Ok(())
}

/// The pairs of a list, or all.
fn named(pairs: &[Pair], list: Option<&Path>) -> anyhow::Result<Vec<Pair>> {
    let Some(path) = list else { return Ok(pairs.to_vec()) };
    let mut found = Vec::new();
    for listed in names::read_names(path)? {
        let name = names::resolve(&listed.name, |name| pairs.iter().any(|pair| pair.name == name));
        match pairs.iter().find(|pair| pair.name == name) {
            Some(pair) => found.push(pair.clone()),
            None => anyhow::bail!("{}: {name}: expected a pair of this name, found none", path.display()),
        }
    }
    Ok(found)
}

fn told_so_far(trials: &[Trial]) -> String {
    let all = summary(trials);
    if all.refused == all.rigs { "none found".to_owned() } else { format!("median {:.2} px", all.median_px) }
}

fn told(all: &Summary, pairs: usize) -> String {
    let mut told = format!(
        "{} rigs of {pairs} pairs, {} not found: corner error {:.2} px (median), {:.2} px (95 %); stated {:.2} px, {:.0} % of offsets within two \
         standard deviations; {:.1} s a rig",
        all.rigs,
        all.refused,
        all.median_px,
        all.p95_px,
        all.stated_median_px,
        100.0 * all.within_two_sigma,
        all.seconds
    );
    if let (Some(median), Some(p95), Some(within)) =
        (all.to_others_median_px, all.to_others_p95_px, all.others_within_two_sigma)
    {
        told += &format!(
            "\nto what other pairs say: {median:.2} px (median), {p95:.2} px (95 %); {:.0} % within two standard deviations",
            100.0 * within
        );
    }
    told
}
