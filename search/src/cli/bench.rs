//! `caf-search bench`

use super::overrides::{SettingsArgs, Short};
use anyhow::Result;
use caf_console::{claim, out, write_json};
use caf_geometry::Size;
use caf_search::search::{BenchReport, BenchSettings, SearchConfig, bench};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search bench --size 256x192 --batch 4 --vgg\n  \
    caf-search bench --size 128x128 --batch 2 --variant n --iterations 10 --json bench.json\n  \
    caf-search bench --set unrolled.method=fd --device cuda\n\n\
    Random images and fresh networks: no data are needed, and time does not depend on them. Settings are those of a search.")]
pub(super) struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Size of the crops.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<Size>,
    /// Pairs in a batch.
    #[arg(long)]
    batch: Option<usize>,
    /// Size of the YOLOv5 detector (n, s, m, l, x), short for --set task.variant=VARIANT.
    #[arg(long)]
    variant: Option<String>,
    /// With the perceptual terms, from VGG-16 features that have learned nothing.
    #[arg(long)]
    vgg: bool,
    /// Iterations that count, after a first one.
    #[arg(long, default_value_t = 5)]
    iterations: usize,
    /// Threads of libtorch; 0 leaves the choice to it.
    #[arg(long)]
    threads: Option<usize>,
    /// cpu, cuda, cuda:N or auto.
    #[arg(long)]
    device: Option<String>,
    /// Write what was measured as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let short = Short::default()
        .size("--size", "run.size_px", args.size)
        .value("--batch", "run.batch", args.batch)
        .text("--variant", "task.variant", args.variant.as_deref())
        .value("--threads", "run.threads", args.threads)
        .text("--device", "run.device", args.device.as_deref());
    let config: SearchConfig = args.settings.load(short)?;
    config.check()?;
    args.settings.paths().writes("--json", args.json.as_deref()).check()?;
    claim(args.json.as_deref())?;
    let report = bench(&config, BenchSettings { iterations: args.iterations, untrained_vgg: args.vgg })?;
    write_json(args.json.as_deref(), &report)?;
    tell(&report)
}

fn tell(report: &BenchReport) -> Result<()> {
    let size = report.size_px;
    let BenchReport { batch, terms, device, threads, iterations, .. } = report;
    out!("{size}, batch {batch}, {terms} terms, {device}, {threads} threads; medians of {iterations} iterations")?;
    out!("{:<8} {:>9} {:>14} {:>10}  passes (forward, backward, tangent)", "phase", "ms", "conv GFLOP", "GFLOP/s")?;
    for phase in &report.phases {
        let passes: Vec<String> = phase
            .passes
            .iter()
            .map(|(network, p)| format!("{network} {}, {}, {}", p.forward, p.backward, p.tangent))
            .collect();
        let (ms, gflop, rate) = (phase.ms, phase.conv_gflop, phase.conv_gflop_per_s);
        out!("{:<8} {ms:>9.1} {gflop:>14.1} {rate:>10.1}  {}", phase.phase, passes.join("; "))?;
    }
    if let Some(times) = &report.layout_times {
        out!("layout   {:?} by measurement: {}", report.layout, times.words())?;
    }
    let cpu = report.cpu_ms.map_or_else(String::new, |ms| format!(", {ms:.0} ms of processor time"));
    let peak = report.peak_mib.map_or_else(String::new, |mib| format!(", peak {mib} MiB"));
    out!("{:<8} {:>9.1} ms{cpu}{peak}", "total", report.total_ms)?;
    Ok(())
}
