//! `caf-search networks`

use anyhow::Result;
use caf_console::{Paths, claim, out, write_json};
use caf_net::GraphError;
use caf_net::zoo::network::{Facts, Kind};
use caf_net::zoo::{FUSION_NETWORKS, fusion::FusionNetwork};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Side of the images whose multiplications are counted: a multiple of every network's coarsest step, and large beside its
/// borders.
const COUNTED_PX: usize = 256;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search networks\n  \
    caf-search search --net u2fusion --set fusion.network.width=16 --data scenes --out runs/u2\n\n\
    A weight file is recognised by itself; --net chooses what a search or a training starts from.")]
pub(super) struct Args {
    /// Write the list as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct Listed {
    kind: &'static str,
    #[serde(flatten)]
    facts: Facts,
    /// Every setting with its default, which is the published value.
    settings: Value,
    parameters: usize,
    macs_per_pixel: u64,
    receptive_field_px: usize,
    sides: String,
    output_range: [f64; 2],
}

impl Listed {
    fn new(kind: &Kind<dyn FusionNetwork>) -> Result<Self, GraphError> {
        let network = kind.parse(json!({}))?;
        let graph = network.graph()?.bind(&[("batch", 1), ("height", COUNTED_PX), ("width", COUNTED_PX)])?;
        Ok(Listed {
            kind: kind.kind,
            facts: kind.facts,
            settings: network.settings().clone(),
            parameters: graph.trainable_count(),
            macs_per_pixel: graph.conv_macs() / (COUNTED_PX * COUNTED_PX) as u64,
            receptive_field_px: network.receptive_field_px(),
            sides: network.sides().to_string(),
            output_range: network.output_range(),
        })
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    Paths::default().writes("--json", args.json.as_deref()).check()?;
    claim(args.json.as_deref())?;
    let all = FUSION_NETWORKS.iter().map(Listed::new).collect::<Result<Vec<_>, _>>()?;
    write_json(args.json.as_deref(), &all)?;
    for Listed { kind, facts, settings, parameters, macs_per_pixel, receptive_field_px, sides, output_range } in &all {
        let [min, max] = output_range;
        out!("{kind}: {} ({})", facts.title, facts.paper)?;
        out!(
            "  {parameters} parameters, {macs_per_pixel} multiply-adds a pixel, receptive field {receptive_field_px} px"
        )?;
        out!("  images of {sides}; fused values from {min} to {max}")?;
        out!("  original weights: licence {}; {}", facts.licence, facts.parity)?;
        for (key, value) in settings.as_object().into_iter().flatten() {
            out!("  fusion.network.{key} = {value}")?;
        }
    }
    Ok(())
}
