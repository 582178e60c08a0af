//! `caf-eval fusion`.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use caf_console::{Console, OutputError, Paths, Progress as _, claim, print, write_json};
use caf_eval::fusion::{Gray, Metric, Scores, Triple, gray_from_rgb, score};
use caf_eval::statistics::Summary;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::failure::{Failure, Offence, Reason};
use crate::folder::{self, IMAGES};
use crate::output;

/// Measure fused images against their sources, without a reference.
///
/// Every image of --fused is measured against the files of the same name (any extension) in --ir and --vi. Colour images
/// are turned to gray first. The definitions are those of the MATLAB set behind most published tables; MI has its
/// histogram quirk, MI_unsaturated not. Values that are not finite (an image too small for a metric, the PSNR of equal
/// images) are counted and left out of the means.
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
    /// Metrics, separated by commas; `all` for every one
    #[arg(long, value_name = "LIST", value_parser = parse_metrics)]
    metrics: Option<MetricList>,
    /// Write means and every image's values as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write every image's values as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// A parsed `--metrics`.
#[derive(Clone, Debug)]
struct MetricList(Vec<Metric>);

fn parse_metrics(list: &str) -> Result<MetricList, caf_eval::EvalError> {
    if list.eq_ignore_ascii_case("all") {
        return Ok(MetricList(Metric::ALL.to_vec()));
    }
    let mut metrics = vec![];
    for name in list.split(',') {
        let metric = name.trim().parse()?;
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    Ok(MetricList(metrics))
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
    claim(args.json.as_deref())?;
    claim(args.csv.as_deref())?;
    let metrics = args.metrics.as_ref().map_or(Metric::USUAL, |list| &list.0);
    let files = find(args)?;
    let (console, measured) = (Console::default(), AtomicU64::new(0));
    console.begin("measure", files.len() as u64, 0);
    let results: Vec<Result<Scores, Vec<Offence>>> = files
        .par_iter()
        .map(|f| {
            let result = measure(f, metrics);
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
        metrics.iter().map(|&m| (m, Summary::of(scores.iter().filter_map(|(_, s)| s.get(m))))).collect();
    write_json(args.json.as_deref(), &to_json(&scores, &summaries))?;
    if let Some(path) = &args.csv {
        let error = |source| OutputError::File { path: path.clone(), source };
        caf_file::write(path, to_csv(&scores, metrics).as_bytes()).map_err(error)?;
    }
    Ok(print(&summary_table(&summaries, scores.len()))?)
}

fn find(args: &Args) -> Result<Vec<Files>, Failure> {
    let mut offences = vec![];
    let mut list = |folder: &Path| folder::by_name(folder, IMAGES, &mut offences);
    let (ir, vi, fused) = (list(&args.ir)?, list(&args.vi)?, list(&args.fused)?);
    let names = match &args.names {
        Some(list) => folder::names(list)?,
        None => fused.keys().cloned().collect(),
    };
    if names.is_empty() {
        return Err(Failure::Empty { option: "--fused", path: args.fused.clone(), expected: "images" });
    }
    let mut files = vec![];
    for name in names {
        let mut one = |option, folder: &BTreeMap<String, PathBuf>| {
            let found = folder.get(&name).cloned();
            if found.is_none() {
                offences.push(Offence::of(&name, Reason::Missing { option }));
            }
            found
        };
        if let (Some(ir), Some(vi), Some(fused)) = (one("--ir", &ir), one("--vi", &vi), one("--fused", &fused)) {
            files.push(Files { name, ir, vi, fused });
        }
    }
    if offences.is_empty() { Ok(files) } else { Err(Failure::Offences(offences)) }
}

fn measure(files: &Files, metrics: &[Metric]) -> Result<Scores, Vec<Offence>> {
    let mut offences = vec![];
    let mut read = |path: &Path| read_gray(path).map_err(|reason| offences.push(Offence::of(path, reason))).ok();
    let planes = [read(&files.ir), read(&files.vi), read(&files.fused)];
    let [Some(ir), Some(vi), Some(fused)] = planes else { return Err(offences) };
    fn plane((pixels, height, width): &(Vec<u8>, usize, usize)) -> Result<Gray<'_>, caf_eval::EvalError> {
        Gray::new(pixels, *height, *width)
    }
    let triple = || Triple::new(plane(&ir)?, plane(&vi)?, plane(&fused)?);
    match triple() {
        Ok(triple) => Ok(score(&triple, metrics)),
        Err(error) => Err(vec![Offence::of(&files.name, error.into())]),
    }
}

/// Gray pixels, height, width.
fn read_gray(path: &Path) -> Result<(Vec<u8>, usize, usize), Reason> {
    let bytes = std::fs::read(path)?;
    let image = image::ImageReader::new(Cursor::new(&bytes)).with_guessed_format()?.decode()?;
    if caf_file::jpeg::is_cut_off(&bytes) {
        return Err(Reason::CutOff);
    }
    let (height, width) = (image.height() as usize, image.width() as usize);
    let pixels = match image.color() {
        image::ColorType::L8 => image.into_bytes(),
        image::ColorType::Rgb8 | image::ColorType::Rgba8 | image::ColorType::La8 => {
            gray_from_rgb(image.into_rgb8().as_raw())
        }
        found => return Err(Reason::Depth { found }),
    };
    Ok((pixels, height, width))
}

fn to_json(scores: &[(&str, Scores)], summaries: &[(Metric, Summary)]) -> Value {
    let values = |s: &Scores| -> serde_json::Map<String, Value> {
        s.iter().map(|(m, v)| (m.name().to_owned(), output::json_number(v))).collect()
    };
    let images: Vec<Value> = scores.iter().map(|(name, s)| json!({ "name": name, "values": values(s) })).collect();
    let metrics: serde_json::Map<String, Value> =
        summaries.iter().map(|(m, s)| (m.name().to_owned(), json!(s))).collect();
    json!({ "profile": "linfeng", "metrics": metrics, "images": images })
}

fn to_csv(scores: &[(&str, Scores)], metrics: &[Metric]) -> String {
    // A name may hold a comma or a quote.
    let quoted = |name: &str| {
        if name.contains([',', '"', '\n']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() }
    };
    let header: String = metrics.iter().map(|m| format!(",{m}")).collect();
    let rows = scores.iter().map(|(name, s)| {
        quoted(name) + &s.iter().map(|(_, v)| format!(",{}", output::text_number(v))).collect::<String>() + "\n"
    });
    format!("name{header}\n") + &rows.collect::<String>()
}

fn summary_table(summaries: &[(Metric, Summary)], images: usize) -> String {
    let header = ["metric", "mean", "deviation", "least", "greatest", "images", "not finite"].map(str::to_owned);
    let mut rows = vec![header.to_vec()];
    for (metric, s) in summaries {
        let cell = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.4}"));
        let arrow = if metric.higher_is_better() { "" } else { " (lower is better)" };
        let counts = [s.count.to_string(), s.not_finite.to_string()];
        rows.push(
            [format!("{metric}{arrow}")]
                .into_iter()
                .chain([s.mean, s.deviation, s.min, s.max].map(cell))
                .chain(counts)
                .collect(),
        );
    }
    format!("{images} images\n{}", output::table(&rows))
}
