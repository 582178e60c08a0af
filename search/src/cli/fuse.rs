//! `caf-search fuse`

use super::WrongCall;
use super::pairs::PairsArgs;
use anyhow::{Result, bail};
use caf_console::{Console, Interrupted, StopFlag, claim, out, write_json};
use caf_image::results::Existing;
use caf_image::rule::{RULES, Rule};
use caf_search::fusion::{FuseJob, Fuser, Method, fuse_folder};
use clap::builder::{PossibleValue, PossibleValuesParser};
use std::path::PathBuf;

/// The method that needs a weight file.
const NETWORK: &str = "network";

/// The names that --method takes, each with what it does.
fn methods() -> Vec<PossibleValue> {
    let network = PossibleValue::new(NETWORK).help("a trained network (--fusion)");
    let rules = RULES.iter().map(|rule| PossibleValue::new(rule.name).help(rule.about));
    [network].into_iter().chain(rules).collect()
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search fuse --data roadscene --fusion runs/fusion/fusion.safetensors --out fused\n  \
    caf-search fuse --data roadscene --method average --out average --gray")]
pub(super) struct Args {
    #[command(flatten)]
    pairs: PairsArgs,
    /// Folder of the results.
    #[arg(long)]
    out: PathBuf,
    /// How to fuse.
    #[arg(long, value_name = "NAME", default_value = NETWORK, value_parser = PossibleValuesParser::new(methods()))]
    method: String,
    /// Weights of a fusion network, which is recognised (`caf-search networks`): safetensors, or an original .pth.
    #[arg(long, value_name = "FILE")]
    fusion: Option<PathBuf>,
    /// Write gray images in place of the visible image's colours.
    #[arg(long)]
    gray: bool,
    /// Keep results that are there already and make the others; refused where another method or other weights made them.
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Write results anew that are there already. Without this and --resume they are an error.
    #[arg(long)]
    overwrite: bool,
    /// Write counts and times as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let method = match (Rule::named(&args.method), &args.fusion) {
        (None, Some(path)) => Method::Network(path.clone()),
        (None, None) => bail!(WrongCall("--method network needs --fusion FILE".to_owned())),
        (Some(_), Some(_)) => bail!(WrongCall("--fusion FILE needs --method network".to_owned())),
        (Some(rule), None) => Method::Rule(rule),
    };
    let paths = args.pairs.paths().file("--fusion", args.fusion.as_deref()).fills("--out", args.out.as_path());
    paths.writes("--json", args.json.as_deref()).check()?;
    claim(args.json.as_deref())?;
    let (fuser, console) = (Fuser::new(&method, args.pairs.device()?)?, Console::default());
    let mut trained = None;
    if let Fuser::Network(net) = &fuser {
        net.tell(&console);
        trained = net.ir_range();
    }
    let ir_range = args.pairs.ir_range.of_network(args.fusion.as_deref().map(|path| (path, trained)))?;
    let dataset = args.pairs.open(None, ir_range)?;
    let existing = Existing::of_options(args.resume, args.overwrite);
    let (out, colour) = (args.out.as_path(), !args.gray);
    let job = FuseJob { dataset: &dataset, fuser: &fuser, method: &method, out, colour, existing };
    let report = fuse_folder(&job, &console, &StopFlag::on_signals()?)?;
    let is_stopped = report.written + report.skipped < dataset.len();
    out!(
        "{}{} written{}, {:.0} ms a pair: {}",
        if is_stopped { "stopped; --resume goes on: " } else { "" },
        report.written,
        if report.skipped > 0 { format!(", {} there already", report.skipped) } else { String::new() },
        report.fuse_ms,
        args.out.display()
    )?;
    write_json(args.json.as_deref(), &report)?;
    if is_stopped {
        bail!(Interrupted);
    }
    Ok(())
}
