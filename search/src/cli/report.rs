//! `caf-search report`

use anyhow::{Result, bail};
use caf_console::{Paths, WrongCall, claim, out, write_json};
use caf_report::{Figure, Run, RunKind, Weights, beta_comparison, run_page};
use caf_search::file::read_toml;
use caf_search::task_training::{TaskTrainConfig, files};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search report --run runs/m3fd      plots and runs/m3fd/report.html, also while the run goes on\n  \
    caf-search report --run runs/det --run runs/seg --label detection --label segmentation --compare beta.svg\n\n\
    Which kind of run a folder holds is found out: a search, or the training of a fusion or of a task network.")]
pub(super) struct Args {
    /// Folder of a search or of a training; may be given several times.
    #[arg(long = "run", required = true, value_name = "DIR")]
    runs: Vec<PathBuf>,
    /// Draw the weights that several searches found side by side.
    #[arg(long, value_name = "FILE.svg")]
    compare: Option<PathBuf>,
    /// Name of a run in the comparison, in the order of the runs [default: the folders' names].
    #[arg(long = "label", value_name = "NAME", requires = "compare")]
    labels: Vec<String>,
    /// Write where the plots and pages are, and the last row of each log, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Plots and page of a run.
pub(super) struct Made {
    run: Run,
    figures: Vec<Figure>,
    page: PathBuf,
}

/// Draws the plots of a run and writes its page; what a task's plot shows is the task's to say.
///
/// # Errors
/// When the folder holds no run, its logs are damaged, or a file cannot be written.
pub(super) fn make(folder: &Path) -> Result<Made> {
    let run = Run::open(folder)?;
    let chart = match run.kind() {
        RunKind::Task => {
            let config: TaskTrainConfig = read_toml(&folder.join(files::CONFIG))?;
            Some(config.task.kind().chart)
        }
        RunKind::Search | RunKind::Fusion => None,
    };
    let figures = run.draw(chart.as_ref())?;
    let page = run_page(&run, &figures)?;
    Ok(Made { run, figures, page })
}

impl Made {
    /// Says where everything lies.
    pub(super) fn tell(&self) -> Result<()> {
        for Figure { path, .. } in &self.figures {
            out!("plot: {}", path.display())?;
        }
        out!("page: {}", self.page.display())?;
        Ok(())
    }

    fn described(&self) -> Described<'_> {
        let log = self.run.log();
        let last = |name: &String| Some((name.clone(), *log.column(name).ok()?.last().filter(|v| v.is_finite())?));
        Described {
            run: self.run.folder(),
            kind: self.run.kind().name(),
            last: log.names().iter().filter_map(last).collect(),
            plots: self.figures.iter().map(|figure| figure.path.as_path()).collect(),
            page: &self.page,
        }
    }
}

#[derive(serde::Serialize)]
struct Described<'a> {
    run: &'a Path,
    kind: &'static str,
    /// Values of the log's last row.
    last: BTreeMap<String, f64>,
    plots: Vec<&'a Path>,
    page: &'a Path,
}

#[derive(serde::Serialize)]
struct Report<'a> {
    runs: Vec<Described<'a>>,
    comparison: Option<&'a Path>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let paths = args.runs.iter().fold(Paths::default(), |paths, run| paths.folder("--run", run.as_path()));
    paths.writes("--compare", args.compare.as_deref()).writes("--json", args.json.as_deref()).check()?;
    if !args.labels.is_empty() && args.labels.len() != args.runs.len() {
        bail!(WrongCall(format!(
            "--label: expected one for each of {} runs, found {}",
            args.runs.len(),
            args.labels.len()
        )));
    }
    claim(args.json.as_deref())?;
    let made = args.runs.iter().map(|run| make(run)).collect::<Result<Vec<Made>>>()?;
    if let Some(path) = &args.compare {
        let weights = made.iter().enumerate().map(|(at, made)| labelled(args, at, &made.run));
        beta_comparison(path, &weights.collect::<Result<Vec<_>, _>>()?)?;
    }
    let runs = made.iter().map(Made::described).collect();
    write_json(args.json.as_deref(), &Report { runs, comparison: args.compare.as_deref() })?;
    made.iter().try_for_each(Made::tell)?;
    if let Some(path) = &args.compare {
        out!("comparison: {}", path.display())?;
    }
    Ok(())
}

/// The found weights of a search under the name that the call or the folder gives it.
fn labelled(args: &Args, at: usize, run: &Run) -> Result<(String, Weights), WrongCall> {
    if run.kind() != RunKind::Search {
        let (folder, kind) = (run.folder().display(), run.kind().name());
        return Err(WrongCall(format!("--compare: expected searches, found a {kind} training in {folder}")));
    }
    let folder = std::path::absolute(run.folder()).unwrap_or_else(|_| run.folder().to_owned());
    let name = || folder.file_name().map_or_else(|| folder.display().to_string(), |n| n.to_string_lossy().into_owned());
    Ok((args.labels.get(at).cloned().unwrap_or_else(name), run.weights()))
}
