//! `caf-search ablate`

use super::learning::networks;
use super::overrides::{SettingsArgs, Short};
use anyhow::{Result, bail};
use caf_console::{Console, Interrupted, StopFlag, WrongCall, claim, out, print, write_json};
use caf_search::ablate::{self, Study, files, jobs, of_kinds};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search ablate --config study.toml --out runs/study --plan      what would be done\n  \
    caf-search ablate --config study.toml --out runs/study\n  \
    caf-search ablate --out runs/study --set run.threads=1             goes on, in this or in a copied folder\n  \
    caf-search ablate --net u2fusion,reconet,umfusion --config configs/table3.toml --out runs/table3\n\n\
    Every finished job is a row of OUT/rows.csv. The same call goes on where an interrupted one stopped; several processes may\n\
    work in one folder at the same time.")]
pub(super) struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Folder of the study. Without --config its own settings are used.
    #[arg(long)]
    out: PathBuf,
    /// Fusion networks, separated by commas (`caf-search networks` lists them), each a method with the loss that it was published with, with
    /// equal weights and with the searched loss: what the settings do not say otherwise.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = networks())]
    net: Vec<String>,
    /// Print the jobs and what is done of them, and do none.
    #[arg(long, conflicts_with = "report")]
    plan: bool,
    /// Only draw what is there: table.txt, table.csv, tests.csv, report.md, report.html and plots in OUT.
    #[arg(long)]
    report: bool,
    /// Write the outcome as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let short = if args.net.is_empty() { Short::default() } else { Short::preset(of_kinds(&args.net)?) };
    let study: Study = args.settings.load_or(&args.out.join(files::STUDY), short)?;
    args.settings.paths().fills("--out", args.out.as_path()).writes("--json", args.json.as_deref()).check()?;
    let contenders = study.check()?;
    claim(args.json.as_deref())?;
    if args.plan {
        return plan(args, &study, &contenders);
    }
    let (console, stop) = (Console::default(), StopFlag::on_signals()?);
    if args.report {
        let path = args.out.join(files::ROWS);
        let rows = ablate::open(&args.out)?;
        let rows = rows.ok_or_else(|| WrongCall(format!("--report: {}: there is no row yet", path.display())))?;
        return tell(&ablate::draw(&study, &args.out, &rows)?);
    }
    let mut on_row = |rows: &ablate::Rows| ablate::draw(&study, &args.out, rows).map(drop);
    let done = ablate::run(&study, &args.out, &console, &stop, &mut on_row)?;
    write_json(args.json.as_deref(), &done)?;
    if let Some(rows) = ablate::open(&args.out)?.filter(|rows| !rows.rows.is_empty()) {
        tell(&ablate::draw(&study, &args.out, &rows)?)?;
    }
    out!("{} of {} jobs are done: {}", done.done, done.jobs, args.out.join(files::ROWS).display())?;
    if done.interrupted {
        bail!(Interrupted);
    }
    if !done.failed.is_empty() {
        bail!("failed jobs: {}\n  {}", done.failed.len(), done.failed.join("\n  "));
    }
    Ok(())
}

/// Prints the table, and says where everything lies.
fn tell(drawn: &ablate::Drawn) -> Result<()> {
    print(&drawn.text)?;
    for path in &drawn.files {
        out!("{}", path.display())?;
    }
    Ok(())
}

fn plan(args: &Args, study: &Study, contenders: &[ablate::Contender]) -> Result<()> {
    let rows = ablate::open(&args.out)?;
    let jobs = jobs(study, contenders);
    let is_done = |job: &ablate::Job<'_>| rows.as_ref().is_some_and(|rows| rows.has(&job.key()));
    for (i, job) in jobs.iter().enumerate() {
        let state = if is_done(job) { "done" } else { "to do" };
        let seed = job.seed.map_or_else(|| "all".to_owned(), |seed| seed.to_string());
        let (protocol, name) = (job.protocol, &job.contender.name);
        out!("{:>4}  {protocol}  {seed:>4}  {name:<24} {state:<6} {}", i + 1, job.contender.source)?;
    }
    let done = jobs.iter().filter(|job| is_done(job)).count();
    out!("{done} of {} jobs are done", jobs.len())?;
    Ok(())
}
