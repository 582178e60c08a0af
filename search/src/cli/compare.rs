//! `caf-search compare`

use super::WrongCall;
use super::pairs::PairsArgs;
use anyhow::{Result, bail};
use caf_console::{Console, Paths, StopFlag, claim, out, print, write_json};
use caf_eval::fusion::{PROFILES, Profile};
use caf_search::compare::{Comparison, Entrant, draw};
use caf_search::fusion_net::FusionNet;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search compare --data tno --methods average,laplacian,guided,det=Det_final.pth --out runs/tno\n  \
    caf-search compare --data roadscene --methods ours=fusion.safetensors --images U2Fusion=results/u2 --out runs/road\n\n\
    Fused images that are there already are kept as long as their method, weights and pair are the same, so that the same call\n\
    goes on where an interrupted one stopped, and a later one with more methods makes only theirs.")]
pub(super) struct Args {
    #[command(flatten)]
    pairs: PairsArgs,
    /// Methods, separated by commas: visible, infrared, average, max, laplacian, guided, or NAME=FILE with the weights of a fusion
    /// network (safetensors, or an original .pth).
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = Entrant::of_method)]
    methods: Vec<Entrant>,
    /// Fused images of others, under the names of the pairs; may be repeated.
    #[arg(long, value_name = "NAME=DIR", value_parser = Entrant::of_images)]
    images: Vec<Entrant>,
    /// Folder of the results.
    #[arg(long)]
    out: PathBuf,
    /// Whose definitions to measure by: linfeng, vifb or cddfuse.
    #[arg(long, value_name = "NAME", default_value = PROFILES[0].name, value_parser = Profile::named)]
    profile: &'static Profile,
    /// Metrics of the profile, separated by commas; `all` for every one.
    #[arg(long, value_name = "LIST")]
    metrics: Option<String>,
    /// Write gray images in place of the visible image's colours.
    #[arg(long)]
    gray: bool,
    /// Pairs whose images are shown side by side.
    #[arg(long, value_name = "N", default_value_t = 3)]
    panels: usize,
    /// Write the table as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let entrants: Vec<Entrant> = args.methods.iter().chain(&args.images).cloned().collect();
    check(&entrants)?;
    args.paths(&entrants).check()?;
    let metrics = args.profile.chosen(args.metrics.as_deref())?;
    claim(args.json.as_deref())?;
    let (console, stop, device) = (Console::default(), StopFlag::on_signals()?, args.pairs.device()?);
    // One set of images is measured, so that it is read by one range, which all networks must know.
    let mut ir_range = args.pairs.ir_range.of_network(None)?;
    for path in entrants.iter().filter_map(Entrant::weights) {
        let trained = FusionNet::read(path, tch::Device::Cpu)?.ir_range();
        ir_range = args.pairs.ir_range.of_network(Some((path, trained)))?;
    }
    let dataset = args.pairs.open(None, ir_range)?;
    let job = Comparison {
        dataset: &dataset,
        entrants: &entrants,
        profile: args.profile,
        metrics: &metrics,
        colour: !args.gray,
        out: &args.out,
        device,
    };
    let measured = job.run(&console, &stop)?;
    let drawn = draw(&job, &measured, args.panels)?;
    write_json(args.json.as_deref(), &drawn.table)?;
    print(&drawn.table.text())?;
    for path in &drawn.files {
        out!("{}", path.display())?;
    }
    Ok(())
}

/// Refuses a call that compares nothing, and two methods of one name.
fn check(entrants: &[Entrant]) -> Result<()> {
    if entrants.is_empty() {
        bail!(WrongCall("nothing to compare: give --methods or --images".to_owned()));
    }
    let twice =
        entrants.iter().enumerate().find(|(i, one)| entrants.iter().take(*i).any(|other| other.name == one.name));
    if let Some((_, Entrant { name, .. })) = twice {
        bail!(WrongCall(format!("--methods, --images: expected names that differ, found `{name}` twice")));
    }
    Ok(())
}

impl Args {
    fn paths(&self, entrants: &[Entrant]) -> Paths {
        let mut paths = self.pairs.paths().fills("--out", self.out.as_path()).writes("--json", self.json.as_deref());
        for entrant in entrants {
            paths = paths.file("--methods", entrant.weights()).folder("--images", entrant.images());
        }
        paths
    }
}
