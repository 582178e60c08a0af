//! `caf-eval fusion`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use caf_console::{Console, OutputError, Paths, Progress as _, claim, print, write_json};
use caf_contract::IrSample as _;
use caf_eval::fusion::{Metric, PROFILES, Picture, Profile, Scores, score};
use caf_eval::statistics::Summary;
use caf_image::{ImageError, ImageProblem, IrRange, IrScratch, Pixels, byte_of, decode, inspect, unit_plane};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::failure::{Failure, Offence, Reason};
use crate::folder;
use crate::output;

/// Measure fused images against their sources, without a reference.
///
/// Every image of --fused is measured against the files of the same name (any extension) in --ir and --vi. The same metric has
/// other values in other profiles: compare only within one. `linfeng` and `cddfuse` turn colour images to gray first, `vifb`
/// measures by channel. Values that are not finite (an image too small for a metric, the PSNR of equal images) are counted and
/// left out of the means.
#[derive(clap::Args)]
#[command(after_help = "Example:
  caf-eval fusion --ir data/ir --vi data/vi --fused out \\
    --metrics EN,MI,SD,VIF,SCD --json metrics.json")]
pub struct Args {
    /// Folder of infrared images
    #[arg(long, value_name = "DIR")]
    ir: PathBuf,
    /// Folder of visible images
    #[arg(long, value_name = "DIR")]
    vi: PathBuf,
    /// Folder of fused images; these are measured
    #[arg(long, value_name = "DIR")]
    fused: PathBuf,
    /// Measure only the names of this list, one a line
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// How infrared of 16 bits (or floats) becomes 8: full, a window MIN..MAX, min_max, or percentiles LOW,HIGH; the range of
    /// the network that fused
    #[arg(long, value_name = "RANGE", default_value_t, allow_hyphen_values = true)]
    ir_range: IrRange,
    /// Whose definitions to measure by: linfeng, vifb or cddfuse
    #[arg(long, value_name = "NAME", default_value = PROFILES[0].name, value_parser = Profile::named)]
    profile: &'static Profile,
    /// Metrics of the profile, separated by commas; `all` for every one
    #[arg(long, value_name = "LIST")]
    metrics: Option<String>,
    /// Write means and every image's values as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write every image's values as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// The three files of one name.
struct Files {
    name: String,
    ir: PathBuf,
    vi: PathBuf,
    fused: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let paths = Paths::default().folder("--ir", args.ir.as_path()).folder("--vi", args.vi.as_path());
    let paths = paths.folder("--fused", args.fused.as_path()).file("--names", args.names.as_deref());
    paths.writes("--json", args.json.as_deref()).writes("--csv", args.csv.as_deref()).check()?;
    let metrics = args.profile.chosen(args.metrics.as_deref())?;
    claim(args.json.as_deref())?;
    claim(args.csv.as_deref())?;
    let files = find(args)?;
    let (console, measured) = (Console::default(), AtomicU64::new(0));
    console.begin("measure", files.len() as u64, 0);
    let results: Vec<Result<Scores, Vec<Offence>>> = files
        .par_iter()
        .map(|f| {
            let result = measure(f, args.ir_range, args.profile, &metrics);
            console.advance(measured.fetch_add(1, Ordering::Relaxed) + 1, "");
            result
        })
        .collect();
    console.end();
    let (mut scores, mut offences) = (vec![], vec![]);
    for (file, result) in files.iter().zip(results) {
        match result {
            Ok(values) => scores.push((file.name.as_str(), values)),
            Err(reasons) => offences.extend(reasons),
        }
    }
    if !offences.is_empty() {
        return Err(Failure::Offences(offences));
    }
    let summaries: Vec<(Metric, Summary)> =
        metrics.iter().map(|&m| (m, Summary::of(scores.iter().filter_map(|(_, s)| s.get(m.name()))))).collect();
    write_json(args.json.as_deref(), &to_json(args.profile, &scores, &summaries))?;
    if let Some(path) = &args.csv {
        let error = |source| OutputError::File { path: path.clone(), source };
        caf_file::write(path, to_csv(&scores, &metrics).as_bytes()).map_err(error)?;
    }
    Ok(print(&summary_table(args.profile, &summaries, scores.len()))?)
}

fn find(args: &Args) -> Result<Vec<Files>, Failure> {
    let mut offences = vec![];
    let mut list = |folder: &Path| folder::images(folder, &mut offences);
    let (ir, vi, fused) = (list(&args.ir)?, list(&args.vi)?, list(&args.fused)?);
    let names = match &args.names {
        Some(list) => folder::names(list, |name| fused.contains_key(name), &mut offences)?,
        None => fused.keys().cloned().collect(),
    };
    if names.is_empty() {
        return Err(Failure::Empty { option: "--fused", path: args.fused.clone(), expected: "images" });
    }
    let mut files = vec![];
    for name in names {
        let there = fused.get(&name);
        let mut one = |option, path: &Path, folder: &BTreeMap<String, PathBuf>| {
            let found = folder.get(&name).cloned();
            match (&found, there) {
                (None, Some(fused)) => {
                    let (name, found, folder) = (name.clone(), fused.clone(), path.to_owned());
                    let problem = ImageProblem::MissingHalf { name, found, folder };
                    offences.push(Offence::of(PathBuf::new(), problem.into()));
                }
                (None, None) => offences.push(Offence::of(&name, Reason::Missing { option })),
                (Some(_), _) => {}
            }
            found
        };
        let found = (one("--ir", &args.ir, &ir), one("--vi", &args.vi, &vi), one("--fused", &args.fused, &fused));
        if let (Some(ir), Some(vi), Some(fused)) = found {
            files.push(Files { name, ir, vi, fused });
        }
    }
    if offences.is_empty() { Ok(files) } else { Err(Failure::Offences(offences)) }
}

fn measure(files: &Files, range: IrRange, profile: &Profile, metrics: &[Metric]) -> Result<Scores, Vec<Offence>> {
    let mut offences = vec![];
    let mut read =
        |path: &Path, range| read(path, range).map_err(|reason| offences.push(Offence::of(path, reason))).ok();
    let images = [read(&files.ir, Some(range)), read(&files.vi, None), read(&files.fused, None)];
    let [Some(ir), Some(vi), Some(fused)] = images else { return Err(offences) };
    let problem =
        other_size(&files.name, &files.ir, &files.vi).or_else(|| other_size(&files.name, &files.vi, &files.fused));
    if let Some(problem) = problem {
        return Err(vec![Offence::of(PathBuf::new(), problem.into())]);
    }
    match profile.planes(&ir, &vi, &fused) {
        Ok(planes) => Ok(score(&planes, metrics)),
        Err(error) => Err(vec![Offence::of(&files.name, error.into())]),
    }
}

/// Two images of a name that differ in size, and whether one of them was turned by its camera.
fn other_size(name: &str, first: &Path, second: &Path) -> Option<ImageProblem> {
    // What cannot be read is said elsewhere.
    let (a, b) = (inspect(first).ok()?, inspect(second).ok()?);
    (a.size != b.size).then(|| ImageProblem::SizeMismatch {
        name: name.to_owned(),
        first: first.to_owned(),
        first_size: a.size,
        second: second.to_owned(),
        second_size: b.size,
        turned: a.turned || b.turned,
    })
}

/// The picture of a file; `range` says how infrared of more than 8 bits becomes 8.
fn read(path: &Path, range: Option<IrRange>) -> Result<Picture, Reason> {
    Ok(match (decode(path)?, range) {
        (Pixels::Gray8(gray), _) => Picture::gray(gray.data().to_vec(), gray.size())?,
        (Pixels::Rgb8(rgb), _) => Picture::rgb(rgb.data().to_vec(), rgb.size())?,
        (wide, Some(range)) => {
            let plane = unit_plane(wide, range, path, &mut IrScratch::default())?;
            Picture::gray(plane.data().iter().map(|v| u8::from_unit(*v)).collect(), plane.size())?
        }
        (Pixels::Gray16(gray), None) => Picture::gray(gray.data().iter().map(|v| byte_of(*v)).collect(), gray.size())?,
        (Pixels::Rgb16(rgb), None) => Picture::rgb(rgb.data().iter().map(|v| byte_of(*v)).collect(), rgb.size())?,
        (Pixels::Float { found, .. }, None) => {
            let expected = "an image of 8 or 16 bits (PNG, JPEG, BMP, TIFF, WebP, PGM, PPM)";
            return Err(ImageError::Samples { path: path.to_owned(), expected, found }.into());
        }
    })
}

fn to_json(profile: &Profile, scores: &[(&str, Scores)], summaries: &[(Metric, Summary)]) -> Value {
    let values = |s: &Scores| -> serde_json::Map<String, Value> {
        s.iter().map(|(name, v)| (name.to_owned(), output::json_number(v))).collect()
    };
    let images: Vec<Value> = scores.iter().map(|(name, s)| json!({ "name": name, "values": values(s) })).collect();
    let metrics: serde_json::Map<String, Value> =
        summaries.iter().map(|(m, s)| (m.name().to_owned(), json!(s))).collect();
    json!({ "profile": profile.name, "metrics": metrics, "images": images })
}

fn to_csv(scores: &[(&str, Scores)], metrics: &[Metric]) -> String {
    // A name may hold a comma or a quote.
    let quoted = |name: &str| {
        if name.contains([',', '"', '\n']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() }
    };
    let header: String = metrics.iter().map(|m| format!(",{}", m.name())).collect();
    let rows = scores.iter().map(|(name, s)| {
        quoted(name) + &s.iter().map(|(_, v)| format!(",{}", output::text_number(v))).collect::<String>() + "\n"
    });
    format!("name{header}\n") + &rows.collect::<String>()
}

fn summary_table(profile: &Profile, summaries: &[(Metric, Summary)], images: usize) -> String {
    let header = ["metric", "mean", "deviation", "least", "greatest", "images", "not finite"].map(str::to_owned);
    let mut rows = vec![header.to_vec()];
    for (metric, s) in summaries {
        let cell = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.4}"));
        let arrow = if metric.higher_is_better() { "" } else { " (lower is better)" };
        let counts = [s.count.to_string(), s.not_finite.to_string()];
        rows.push(
            [format!("{}{arrow}", metric.name())]
                .into_iter()
                .chain([s.mean, s.deviation, s.min, s.max].map(cell))
                .chain(counts)
                .collect(),
        );
    }
    format!("{images} images, profile {}\n{}", profile.name, output::table(&rows))
}
