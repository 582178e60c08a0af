//! `caf-search fuse`

use super::WrongCall;
use anyhow::{Result, bail};
use caf_console::{Console, StopFlag, claim, out, write_json};
use caf_data::{Dataset, DatasetOptions, IrRange, Need};
use caf_search::fusion::{FuseJob, Fuser, Method, fuse_folder};
use clap::ValueEnum;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    /// A trained network (--fusion).
    Network,
    /// The visible luma.
    Visible,
    /// The infrared image.
    Infrared,
    /// The mean of both.
    Average,
    /// The larger of both at every pixel.
    Max,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search fuse --data roadscene --fusion runs/fusion/fusion.safetensors --out fused\n  \
    caf-search fuse --data roadscene --method average --out average --gray")]
pub(super) struct Args {
    /// Data set in the plain layout.
    #[arg(long)]
    data: PathBuf,
    /// Only these names.
    #[arg(long, value_name = "LIST")]
    list: Option<PathBuf>,
    /// Folder of the results.
    #[arg(long)]
    out: PathBuf,
    /// How to fuse.
    #[arg(long, value_enum, default_value_t = Way::Network)]
    method: Way,
    /// Network: safetensors, or an original .pth.
    #[arg(long, value_name = "FILE")]
    fusion: Option<PathBuf>,
    /// Write gray images in place of the visible image's colours.
    #[arg(long)]
    gray: bool,
    /// Skip pairs whose result exists.
    #[arg(long)]
    resume: bool,
    /// cpu, cuda, cuda:N or auto.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Stretch 16-bit infrared images from their smallest to their largest value.
    #[arg(long)]
    stretch_ir: bool,
    /// Write counts and times as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    claim(args.json.as_deref())?;
    let method = match (args.method, &args.fusion) {
        (Way::Network, Some(path)) => Method::Network(path.clone()),
        (Way::Network, None) => bail!(WrongCall("--method network needs --fusion FILE".to_owned())),
        (Way::Visible, _) => Method::Visible,
        (Way::Infrared, _) => Method::Infrared,
        (Way::Average, _) => Method::Average,
        (Way::Max, _) => Method::Max,
    };
    let ir_range = if args.stretch_ir { IrRange::MinMax } else { IrRange::Full };
    let options = DatasetOptions { list: args.list.clone(), labels: Need::Ignore, ir_range };
    let dataset = Dataset::open(&args.data, &options)?;
    let fuser = Fuser::new(&method, caf_torch::device_from_name(&args.device)?)?;
    let job = FuseJob { dataset: &dataset, fuser: &fuser, out: &args.out, colour: !args.gray, resume: args.resume };
    let report = fuse_folder(&job, &Console::default(), &StopFlag::on_signals()?)?;
    out!(
        "{} written, {} skipped, {:.0} ms a pair: {}",
        report.written,
        report.skipped,
        report.fuse_ms,
        args.out.display()
    )?;
    Ok(write_json(args.json.as_deref(), &report)?)
}
