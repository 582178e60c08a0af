//! Which layers stay in single precision: those that cost accuracy, and those that integers make slower.

use super::agreement::{Agreement, OutputLoss};
use super::time::alternate;
use super::watch::Watch;
use crate::error::ExportError;
use crate::model::Model;
use crate::precision::Plan;
use crate::verify::Named;
use caf_console::Silent;
use caf_contract::OUTPUT_FUSED;
use caf_engine::{Array, Engine, EngineOptions};
use serde::Serialize;
use std::collections::BTreeSet;

/// What one layer alone costs, all others in single precision.
#[derive(Clone, Debug, Serialize)]
pub struct Sensitivity {
    /// The layer.
    pub layer: String,
    /// What leaving it in single precision costs: multiply-adds of a convolution, 1 where all cost alike.
    pub cost: f64,
    /// By output.
    pub losses: Vec<OutputLoss>,
}

/// What all layers together may cost on the frames that the choice is made on, in dB of signal over noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Targets {
    /// Of images: PSNR against the model in single precision.
    pub image_db: f64,
    /// Of a task's outputs.
    pub task_db: f64,
}

/// A layer that stays in single precision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kept {
    /// The layer.
    pub layer: String,
    /// Why.
    pub why: String,
}

/// A model's outputs on probe frames, and how those of its variants differ.
pub(super) struct Probe<'a> {
    model: &'a Model,
    frames: &'a [Named],
    watch: Watch<'a>,
    reference: Vec<Vec<(String, Array)>>,
}

impl<'a> Probe<'a> {
    pub fn new(model: &'a Model, frames: &'a [Named], watch: Watch<'a>) -> Result<Self, ExportError> {
        let mut engine = open(model, &Plan::Single)?;
        let reference = frames.iter().map(|frame| Ok(engine.run(frame)?));
        let reference = reference.collect::<Result<Vec<_>, ExportError>>()?;
        Ok(Self { model, frames, watch, reference })
    }

    /// What a plan costs on all frames.
    pub fn losses(&self, plan: &Plan) -> Result<Vec<OutputLoss>, ExportError> {
        let mut engine = open(self.model, plan)?;
        let mut agreement = Agreement::default();
        for (frame, reference) in self.frames.iter().zip(&self.reference) {
            self.watch.check()?;
            agreement.add(self.model.contract(), reference, &engine.run(frame)?)?;
        }
        Ok(agreement.losses())
    }
}

fn open(model: &Model, plan: &Plan) -> Result<Engine, ExportError> {
    let name = format!("the model in {}", plan.precision().name());
    Ok(Engine::from_bytes(&name, &model.to_onnx_as(true, plan)?, EngineOptions::CPU)?)
}

/// What each layer costs alone. `plan` makes the plan in which only the given layers have less precision.
///
/// # Errors
/// When a model cannot be written or run, or somebody asks for the end.
pub fn sensitivities(
    probe: &Probe<'_>,
    layers: &BTreeSet<String>,
    cost: &dyn Fn(&str) -> f64,
    plan: &dyn Fn(&BTreeSet<String>) -> Result<Plan, ExportError>,
) -> Result<Vec<Sensitivity>, ExportError> {
    let progress = probe.watch.progress;
    progress.begin("measure layers", layers.len() as u64, 0);
    let mut found = Vec::with_capacity(layers.len());
    for layer in layers {
        let losses = probe.losses(&plan(&BTreeSet::from([layer.clone()]))?)?;
        found.push(Sensitivity { layer: layer.clone(), cost: cost(layer), losses });
        probe.watch.advance(found.len() as u64, layer)?;
    }
    progress.end();
    Ok(found)
}

/// The layers that must stay so that the rest costs no more than the targets on these frames.
///
/// A layer that changes the fused image is judged by the image: the least noise in it moves scores of doubtful boxes far, which says
/// little about the task. The layers behind it are judged by the outputs of the tasks, on the fused image of single precision.
///
/// Layers leave in the order of noise for what they cost, no more of them than needed. The rest is measured together each time: what two
/// layers lose alone may be the same, the rounding of the tensor between them.
///
/// # Errors
/// When a model cannot be written or run, or somebody asks for the end.
pub fn least_loss(
    probe: &Probe<'_>,
    measured: &[Sensitivity],
    targets: Targets,
    plan: &dyn Fn(&BTreeSet<String>) -> Result<Plan, ExportError>,
) -> Result<(Vec<Kept>, Vec<OutputLoss>), ExportError> {
    let is_image = |loss: &OutputLoss| loss.output == OUTPUT_FUSED;
    let changes_image = |s: &Sensitivity| s.losses.iter().any(|l| is_image(l) && l.noise > 0.0);
    let (before, behind): (Vec<_>, Vec<_>) = measured.iter().cloned().partition(changes_image);
    let (mut kept, mut all) = (Vec::new(), Vec::new());
    for (layers, image, target) in [(before, true, targets.image_db), (behind, false, targets.task_db)] {
        let judged = |losses: Vec<OutputLoss>| losses.into_iter().filter(|l| is_image(l) == image).collect::<Vec<_>>();
        let order =
            worst_first(layers.into_iter().map(|s| Sensitivity { losses: judged(s.losses), ..s }).collect::<Vec<_>>());
        let mut losses = Vec::new();
        let stay = fewest(order.len(), |stay| {
            let rest: BTreeSet<String> = order.iter().skip(stay).map(|(layer, _)| layer.clone()).collect();
            let found = if rest.is_empty() { Vec::new() } else { judged(probe.losses(&plan(&rest)?)?) };
            let good = found.iter().all(|loss| loss.psnr_db() >= target);
            if good {
                losses = found;
            }
            Ok(good)
        })?;
        kept.extend(order.into_iter().take(stay).map(|(layer, why)| Kept { layer, why }));
        all.extend(losses);
    }
    Ok((kept, all))
}

/// Names of layers with what they lose alone, those with most noise for what they cost first.
fn worst_first(mut measured: Vec<Sensitivity>) -> Vec<(String, String)> {
    let worst = |s: &Sensitivity| s.losses.iter().map(|l| l.noise).fold(0.0, f64::max);
    let price = |s: &Sensitivity| worst(s) / s.cost.max(1.0);
    measured.sort_by(|a, b| price(b).total_cmp(&price(a)));
    let named = |s: Sensitivity| {
        let loss = s.losses.iter().max_by(|a, b| a.noise.total_cmp(&b.noise));
        let why = loss.map_or(String::new(), |l| format!("alone {:.1} dB at `{}`", l.psnr_db(), l.output));
        (s.layer, why)
    };
    measured.into_iter().map(named).collect()
}

/// The least number up to `most` that is good, by halves; all above a good one are taken to be good, and `most` is. Ends with the good
/// one that it returns asked last of all good ones.
fn fewest(most: usize, mut good: impl FnMut(usize) -> Result<bool, ExportError>) -> Result<usize, ExportError> {
    if most == 0 || good(0)? {
        return Ok(0);
    }
    let (mut bad, mut found) = (0, most);
    while found - bad > 1 {
        let middle = bad.midpoint(found);
        if good(middle)? {
            found = middle;
        } else {
            bad = middle;
        }
    }
    Ok(found)
}

/// Of `groups` of layers those without which the model is faster, in turn with the model that has all of `layers`; the least of `rounds`
/// times counts. A group is left out when that saves at least three hundredths, more than times in turn differ by chance, and does so
/// again when both are timed anew: other work on the machine may meet one of them alone.
///
/// # Errors
/// When a model cannot be written or run, or somebody asks for the end.
pub fn faster(
    model: &Model,
    layers: &BTreeSet<String>,
    groups: &[BTreeSet<String>],
    frame: &Named,
    rounds: usize,
    plan: &dyn Fn(&BTreeSet<String>) -> Result<Plan, ExportError>,
    watch: Watch<'_>,
) -> Result<Vec<Kept>, ExportError> {
    /// What a saving must be to be one.
    const SAVED: f64 = 0.97;
    let times = |sets: [&BTreeSet<String>; 2]| -> Result<[f64; 2], ExportError> {
        let mut chains = Vec::with_capacity(2);
        for set in sets {
            chains.push(vec![(open(model, &plan(set)?)?, frame.clone())]);
        }
        let found = alternate(&mut chains, rounds, Watch { progress: &Silent, stop: watch.stop })?;
        Ok([0, 1].map(|i| found.get(i).map_or(f64::NAN, |timed| timed.min_ms)))
    };
    let mut now = layers.clone();
    let mut kept = Vec::new();
    watch.progress.begin("time layers", groups.len() as u64, 0);
    for (number, group) in groups.iter().enumerate() {
        watch.advance(number as u64, group.first().map_or("", String::as_str))?;
        let without: BTreeSet<String> = now.difference(group).cloned().collect();
        if without.len() == now.len() {
            continue;
        }
        let saves = |[with_ms, without_ms]: [f64; 2]| without_ms < with_ms * SAVED;
        let [with_ms, without_ms] = times([&now, &without])?;
        if saves([with_ms, without_ms]) && saves(times([&now, &without])?) {
            let why = format!("{without_ms:.1} ms without, {with_ms:.1} ms with integers");
            kept.extend(now.intersection(group).map(|layer| Kept { layer: layer.clone(), why: why.clone() }));
            now = without;
        }
    }
    watch.progress.end();
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensitivity(layer: &str, decibel: [f64; 2]) -> Sensitivity {
        let losses = ["fused", "predictions"].iter().zip(decibel);
        let losses = losses
            .map(|(output, decibel)| OutputLoss { output: (*output).to_owned(), noise: 10f64.powf(-decibel / 10.0) });
        Sensitivity { layer: layer.to_owned(), cost: 1.0, losses: losses.collect() }
    }

    #[test]
    fn layers_with_most_noise_for_their_cost_leave_first() {
        let mut measured = vec![
            sensitivity("a", [30.0, 60.0]),
            sensitivity("b", [50.0, 20.0]),
            sensitivity("c", [40.0, f64::INFINITY]),
        ];
        let names = |measured: &[Sensitivity]| {
            worst_first(measured.to_vec()).into_iter().map(|(layer, _)| layer).collect::<Vec<_>>()
        };
        assert_eq!(names(&measured), ["b", "a", "c"]);
        assert_eq!(worst_first(measured.clone())[0].1, "alone 20.0 dB at `predictions`");
        // The one that costs less leaves before those with more noise.
        measured[1].cost = 1e4;
        assert_eq!(names(&measured), ["a", "c", "b"]);
    }

    #[test]
    fn no_more_layers_leave_than_needed() {
        for most in 0..20 {
            for least in 0..=most {
                let mut last_good = None;
                let found = fewest(most, |n| {
                    assert!(n < most, "that all is good is known");
                    last_good = Some(n).filter(|n| *n >= least).or(last_good);
                    Ok(n >= least)
                });
                assert_eq!(found.unwrap(), least);
                assert!(least == most || last_good == Some(least));
            }
        }
    }
}
