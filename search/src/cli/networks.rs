//! `caf-search networks`

use anyhow::Result;
use caf_console::{Paths, claim, out, write_json};
use caf_net::GraphError;
use caf_net::zoo::fusion::{FusionNetwork, WHOLE_IMAGE};
use caf_net::zoo::network::{Facts, Kind};
use caf_net::zoo::task::TaskNetwork;
use caf_net::zoo::{FUSION_NETWORKS, TASK_NETWORKS};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Classes of a task network whose parameters are counted.
const CLASSES: usize = 1;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search networks\n  \
    caf-search search --net u2fusion --set fusion.network.width=16 --data scenes --out runs/u2\n  \
    caf-search train task --task segmentation --set task.variant=b1 --data pairs --images fused --out runs/seg\n\n\
    A weight file is recognised by itself; --net and --task choose what a search or a training starts from.")]
pub(super) struct Args {
    /// Write the list as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct Listed {
    kind: &'static str,
    /// `fusion`, or the task that it is for.
    purpose: &'static str,
    #[serde(flatten)]
    facts: Facts,
    /// Every setting with its default: the published value, of a task network that of the smallest published size.
    settings: Value,
    /// Those that are trained; of a task network for one class.
    parameters: usize,
    sides: String,
    #[serde(flatten)]
    fusion: Option<Fusing>,
}

/// What is known of fusion networks alone.
#[derive(serde::Serialize)]
struct Fusing {
    macs_per_pixel: u64,
    receptive_field_px: usize,
    output_range: [f64; 2],
}

impl Listed {
    fn fusion(kind: &Kind<dyn FusionNetwork>) -> Result<Self, GraphError> {
        let network = kind.parse(json!({}))?;
        let fusing = Fusing {
            macs_per_pixel: network.macs_per_pixel()?,
            receptive_field_px: network.receptive_field_px(),
            output_range: network.output_range(),
        };
        Ok(Listed {
            kind: kind.kind,
            purpose: "fusion",
            facts: kind.facts,
            settings: network.settings().clone(),
            parameters: network.graph()?.trainable_count(),
            sides: network.sides().to_string(),
            fusion: Some(fusing),
        })
    }

    fn task(kind: &Kind<dyn TaskNetwork>) -> Result<Self, GraphError> {
        let network = kind.parse(json!({"classes": CLASSES}))?;
        Ok(Listed {
            kind: kind.kind,
            purpose: network.task().name,
            facts: kind.facts,
            settings: network.settings().clone(),
            parameters: network.graph()?.trainable_count(),
            sides: network.sides().to_string(),
            fusion: None,
        })
    }

    fn all() -> Result<Vec<Self>, GraphError> {
        FUSION_NETWORKS.iter().map(Listed::fusion).chain(TASK_NETWORKS.iter().map(Listed::task)).collect()
    }

    fn tell(&self) -> Result<()> {
        let Listed { kind, purpose, facts, settings, parameters, sides, fusion } = self;
        out!("{kind}: {} ({}), for {purpose}", facts.title, facts.paper)?;
        match fusion {
            Some(Fusing { macs_per_pixel, receptive_field_px, output_range: [min, max] }) => {
                let field = match *receptive_field_px {
                    WHOLE_IMAGE => "the whole image".to_owned(),
                    side => format!("{side} px"),
                };
                out!("  {parameters} parameters, {macs_per_pixel} multiply-adds a pixel, receptive field {field}")?;
                out!("  images of {sides}; fused values from {min} to {max}")?;
            }
            None => {
                out!("  {parameters} parameters at its smallest published size, for one class")?;
                out!("  images of {sides}")?;
            }
        }
        out!("  original weights: licence {}; {}", facts.licence, facts.parity)?;
        // A task network's size is a setting of its training, `task.variant`.
        for (key, value) in settings.as_object().into_iter().flatten().filter(|_| fusion.is_some()) {
            out!("  fusion.network.{key} = {value}")?;
        }
        Ok(())
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    Paths::default().writes("--json", args.json.as_deref()).check()?;
    claim(args.json.as_deref())?;
    let all = Listed::all()?;
    write_json(args.json.as_deref(), &all)?;
    all.iter().try_for_each(Listed::tell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_of_the_zoo_is_listed_with_what_it_is_for() {
        let all = Listed::all().unwrap();
        let listed: Vec<(&str, &str)> = all.iter().map(|network| (network.kind, network.purpose)).collect();
        assert_eq!(listed.len(), FUSION_NETWORKS.len() + TASK_NETWORKS.len());
        for network in [
            ("caf", "fusion"),
            ("u2fusion", "fusion"),
            ("yolov5", "detection"),
            ("segformer", "segmentation"),
            ("deeplabv3plus", "segmentation"),
            ("density", "counting"),
        ] {
            assert!(listed.contains(&network), "{network:?} in {listed:?}");
        }
        assert!(all.iter().all(|network| network.parameters > 1000));
        let segformer = all.iter().find(|network| network.kind == "segformer").unwrap();
        // Stage 1 is a quarter of the image, whose keys are an eighth of it.
        assert_eq!(segformer.sides, "at least 29 px");
    }
}
