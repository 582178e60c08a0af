//! `caf-search split`

use super::pairs::{LayoutArg, require_list};
use anyhow::{Result, bail};
use caf_console::{Paths, WrongCall, claim, out, print, write_json};
use caf_data::leakage::{LeakageOptions, check_disjoint};
use caf_data::split::{Scenes, SplitSettings, split};
use caf_data::{Dataset, DatasetOptions, Need};
use caf_image::list::{read_names, write_names};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search split --data roadscene --val 0.3          writes roadscene/train.txt and val.txt\n  \
    caf-search split --data roadscene --check            reports on the lists that are there")]
pub(super) struct Args {
    /// Data set.
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    layout: LayoutArg,
    /// Share of the pairs to validate on.
    #[arg(long, default_value_t = 0.25)]
    val: f64,
    /// Decides which scenes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Names whose numbers differ by at most this belong to one scene.
    #[arg(long, default_value_t = 10)]
    neighbour_gap: u64,
    /// Lines `NAME SCENE` that say which pairs belong together.
    #[arg(long, value_name = "FILE")]
    scenes: Option<PathBuf>,
    /// Split only these names.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Folder of train.txt and val.txt; the data set's own without it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write nothing; report leaks between the lists that are there.
    #[arg(long)]
    check: bool,
    /// Replace lists that are there and name other pairs. Without it they are an error.
    #[arg(long, conflicts_with = "check")]
    overwrite: bool,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let paths = Paths::default().data_set("--data", args.data.as_path()).file("--scenes", args.scenes.as_deref());
    let paths = paths.list("--list", &args.data, args.list.as_deref());
    paths.writes("--json", args.json.as_deref()).check()?;
    claim(args.json.as_deref())?;
    require_list("--list", &args.data, args.layout.name().as_deref(), args.list.as_deref())?;
    let out = std::path::absolute(args.out.as_deref().unwrap_or(&args.data))?;
    let [train, val] = ["train.txt", "val.txt"].map(|name| out.join(name));
    let options = LeakageOptions::default();
    let report = if args.check {
        check_disjoint(&open(args, Some(&train))?, &open(args, Some(&val))?, &options)?
    } else {
        let whole = open(args, args.list.as_deref())?;
        let names: Vec<String> = whole.names().map(str::to_owned).collect();
        let settings = SplitSettings {
            val_fraction: args.val,
            seed: args.seed,
            neighbour_gap: args.neighbour_gap,
            ..SplitSettings::default()
        };
        let mut scenes = Scenes::by_number(&names, settings.neighbour_gap, settings.longest_scene);
        if let Some(file) = &args.scenes {
            scenes = scenes.with_file(file)?;
        }
        let parts = split(&scenes, &settings)?;
        let report = check_disjoint(&whole.part(&parts.train)?, &whole.part(&parts.val)?, &options)?;
        if !args.overwrite {
            [(&train, &parts.train), (&val, &parts.val)].into_iter().try_for_each(|(list, names)| keep(list, names))?;
        }
        caf_search::file::make_folder(&out)?;
        write_names(&train, "to train on", &parts.train)?;
        write_names(&val, "to validate on", &parts.val)?;
        out!(
            "{} scenes: {} pairs to train on, {} to validate on, {} left out",
            parts.scenes,
            parts.train.len(),
            parts.val.len(),
            parts.left_out.len()
        )?;
        report
    };
    print(&report.to_string())?;
    Ok(write_json(args.json.as_deref(), &report)?)
}

/// Refuses a list that is there and has other names.
fn keep(list: &Path, names: &[String]) -> Result<()> {
    if !list.exists() {
        return Ok(());
    }
    // What cannot be read is no list of these names either.
    let there = read_names(list).unwrap_or_default();
    if there.iter().map(|listed| &listed.name).eq(names) {
        return Ok(());
    }
    bail!(WrongCall(format!(
        "{}: exists already, with {} other names; give --overwrite to replace it, another --out, or --check to look at it",
        list.display(),
        there.len()
    )))
}

fn open(args: &Args, list: Option<&Path>) -> Result<Dataset> {
    let (list, layout) = (list.map(Path::to_owned), args.layout.name());
    let options = DatasetOptions { list, labels: Need::Ignore, layout, ..DatasetOptions::default() };
    Ok(Dataset::open(&args.data, &options)?)
}
