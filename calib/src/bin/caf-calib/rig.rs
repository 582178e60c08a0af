//! `caf-calib rig`.

use std::path::PathBuf;

use caf_calib::{Settings, find, list, read, spread, today, write};
use caf_console::{Console, Paths, Progress as _, WrongCall, claim, out, say, within, write_json};
use caf_image::IrRange;
use clap::Args;

/// Find the homography from infrared to visible pixels, from pairs recorded while driving.
///
/// Both cameras must see the same scene at the same moment; the images need not be aligned. The map is found from the edges that both show,
/// from all pairs together, and written only when the maps of two halves of the pairs agree and each holds on the other half.
/// The folder --out gets rig.toml (for caf-run --rig), overlays before and after, and report.html.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  caf-calib rig --ir drive/ir --vi drive/vi --out calibration
  caf-run live --rig calibration/rig.toml --model pipeline.onnx ...")]
pub struct RigArguments {
    /// Folder of infrared images, all of one size
    #[arg(long, value_name = "DIR")]
    ir: PathBuf,
    /// Folder of visible images of the same names, all of one size
    #[arg(long, value_name = "DIR")]
    vi: PathBuf,
    /// Folder for the rig, the overlays and the page
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How infrared of 16 bits (or floats) becomes gray: full, a window MIN..MAX, min_max, or percentiles LOW,HIGH
    #[arg(long, value_name = "RANGE", default_value = "1,99", allow_hyphen_values = true)]
    ir_range: IrRange,
    /// Visible pixels that an infrared pixel spans, to within 15 %; by default the ratio of the images' widths, which is right for
    /// lenses of the same field of view
    #[arg(long, value_name = "X", value_parser = scale)]
    scale: Option<f64>,
    /// Pairs to use at most, spread evenly over the recording
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=500))]
    most_pairs: u16,
    /// Fewer usable pairs are an error; below 4, parts of the same pictures stand in for held-out pairs
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=500))]
    least_pairs: u16,
    /// Replace a rig that is there already
    #[arg(long)]
    overwrite: bool,
    /// Report for machines
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn scale(text: &str) -> Result<f64, String> {
    within(text, "a number", 0.05, 20.0)
}

/// Runs the command.
pub fn run(arguments: &RigArguments) -> anyhow::Result<()> {
    let paths = Paths::default().folder("--ir", arguments.ir.as_path()).folder("--vi", arguments.vi.as_path());
    paths.fills("--out", arguments.out.as_path()).writes("--json", arguments.json.as_deref()).check()?;
    let rig = arguments.out.join("rig.toml");
    if rig.exists() && !arguments.overwrite {
        return Err(WrongCall(format!("{}: there already; give --overwrite or another folder", rig.display())).into());
    }
    if arguments.least_pairs > arguments.most_pairs {
        return Err(WrongCall("--least-pairs: expected at most --most-pairs".to_owned()).into());
    }
    claim(arguments.json.as_deref())?;
    let console = Console::default();
    console.begin("calibrate", 3, 0);
    let pairs = spread(list(&arguments.ir, &arguments.vi)?, usize::from(arguments.most_pairs));
    let shots = read(&pairs, arguments.ir_range)?;
    console.advance(1, &format!("{} pairs", shots.len()));
    let settings = Settings { scale: arguments.scale, least_pairs: usize::from(arguments.least_pairs) };
    let found = find(&shots, &settings, &today())?;
    console.advance(2, "found");
    let path = write(&arguments.out, &found, &shots)?;
    console.advance(3, "written");
    console.end();
    for line in &found.set_aside {
        say!("not used: {line}");
    }
    for line in &found.warnings {
        say!("warning: {line}");
    }
    if let Some(m) = &found.rig.measured {
        out!(
            "{} pairs; held-out parts match to {:.2} px (median), {:.2} px (95 %), corners known to {:.2} px: {}",
            m.pairs,
            m.held_out_median_px,
            m.held_out_p95_px,
            m.corner_deviation_px.iter().copied().fold(0.0, f64::max),
            path.display()
        )?;
    }
    write_json(arguments.json.as_deref(), &serde_json::json!({ "finding": found, "measured": found.rig.measured }))?;
    Ok(())
}
