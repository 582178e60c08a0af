//! Which layers stay in single precision: those that cost accuracy, and those that integers make slower.

use super::agreement::{Agreement, OutputLoss};
use super::time::alternate;
use crate::error::ExportError;
use crate::model::Model;
use crate::precision::Plan;
use crate::verify::Named;
use caf_console::Progress;
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
    reference: Vec<Vec<(String, Array)>>,
}

impl<'a> Probe<'a> {
    fn new(model: &'a Model, frames: &'a [Named]) -> Result<Self, ExportError> {
        let mut engine = open(model, &Plan::Single)?;
        let reference = frames.iter().map(|frame| Ok(engine.run(frame)?));
        let reference = reference.collect::<Result<Vec<_>, ExportError>>()?;
        Ok(Self { model, frames, reference })
    }

    fn losses(&self, plan: &Plan) -> Result<Vec<OutputLoss>, ExportError> {
        let mut engine = open(self.model, plan)?;
        let mut agreement = Agreement::default();
        for (frame, reference) in self.frames.iter().zip(&self.reference) {
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
/// When a model cannot be written or run.
pub fn sensitivities(
    model: &Model,
    layers: &BTreeSet<String>,
    cost: &dyn Fn(&str) -> f64,
    frames: &[Named],
    plan: &dyn Fn(&BTreeSet<String>) -> Result<Plan, ExportError>,
    progress: &dyn Progress,
) -> Result<Vec<Sensitivity>, ExportError> {
    let probe = Probe::new(model, frames)?;
    progress.begin("measure layers", layers.len() as u64, 0);
    let mut found = Vec::with_capacity(layers.len());
    for layer in layers {
        let losses = probe.losses(&plan(&BTreeSet::from([layer.clone()]))?)?;
        found.push(Sensitivity { layer: layer.clone(), cost: cost(layer), losses });
        progress.advance(found.len() as u64, layer);
    }
    progress.end();
    Ok(found)
}

/// The layers that must stay so that the rest costs no more than the targets on these frames.
///
/// A layer that changes the fused image is judged by the image: the least noise in it moves scores of doubtful boxes far, which says
/// little about the task. The layers behind it are judged by the outputs of the tasks, on the fused image of single precision.
///
/// Noise of independent layers adds: for each output those layers are left out that have the most noise for what they cost, until the sum
/// of the others is within the target. Then all are measured together; while they cost more after all, half as much noise is allowed.
///
/// # Errors
/// When a model cannot be written or run.
pub fn least_loss(
    model: &Model,
    measured: &[Sensitivity],
    frames: &[Named],
    targets: Targets,
    plan: &dyn Fn(&BTreeSet<String>) -> Result<Plan, ExportError>,
) -> Result<(Vec<Kept>, Vec<OutputLoss>), ExportError> {
    let probe = Probe::new(model, frames)?;
    let is_image = |loss: &OutputLoss| loss.output == OUTPUT_FUSED;
    let changes_image = |s: &Sensitivity| s.losses.iter().any(|l| is_image(l) && l.noise > 0.0);
    let (before, behind): (Vec<_>, Vec<_>) = measured.iter().cloned().partition(changes_image);
    let (mut kept, mut all) = (Vec::new(), Vec::new());
    for (layers, image, target) in [(before, true, targets.image_db), (behind, false, targets.task_db)] {
        let judged: Vec<Sensitivity> = (layers.into_iter())
            .map(|s| Sensitivity { losses: s.losses.iter().filter(|l| is_image(l) == image).cloned().collect(), ..s })
            .collect();
        let mut allowed = 10f64.powf(-target / 10.0);
        loop {
            let worst = over_budget(&judged, allowed);
            let stays = |layer: &String| worst.iter().any(|k| k.layer == *layer);
            let rest: BTreeSet<String> = judged.iter().map(|s| s.layer.clone()).filter(|l| !stays(l)).collect();
            let losses = if rest.is_empty() { Vec::new() } else { probe.losses(&plan(&rest)?)? };
            let losses: Vec<OutputLoss> = losses.into_iter().filter(|l| is_image(l) == image).collect();
            if losses.iter().all(|loss| loss.psnr_db() >= target) {
                kept.extend(worst);
                all.extend(losses);
                break;
            }
            allowed /= 2.0;
        }
    }
    Ok((kept, all))
}

/// The layers without which the summed noise of every output is within its budget.
fn over_budget(measured: &[Sensitivity], budget: f64) -> Vec<Kept> {
    let mut kept: Vec<Kept> = Vec::new();
    let outputs: BTreeSet<&str> = measured.iter().flat_map(|s| &s.losses).map(|l| l.output.as_str()).collect();
    for output in outputs {
        let noise = |s: &Sensitivity| s.losses.iter().find(|l| l.output == output).map_or(0.0, |l| l.noise);
        let mut rest: Vec<(&str, f64, f64)> = (measured.iter())
            .filter(|s| kept.iter().all(|k| k.layer != s.layer))
            .map(|s| (s.layer.as_str(), noise(s), noise(s) / s.cost.max(1.0)))
            .collect();
        rest.sort_by(|a, b| a.2.total_cmp(&b.2));
        let mut sum: f64 = rest.iter().map(|(_, noise, _)| noise).sum();
        while sum > budget {
            let Some((layer, noise, _)) = rest.pop() else { break };
            // Not subtracted: small sums would be all rounding.
            sum = rest.iter().map(|(_, noise, _)| noise).sum();
            let why = format!("alone {:.1} dB at `{output}`", -10.0 * noise.log10());
            kept.push(Kept { layer: layer.to_owned(), why });
        }
    }
    kept
}

/// Of `groups` of layers those without which the model is faster, in turn with the model that has all of `layers`; the least of `rounds`
/// times counts. A group is left out when that saves at least three hundredths, more than times in turn differ by chance, and does so
/// again when both are timed anew: other work on the machine may meet one of them alone.
///
/// # Errors
/// When a model cannot be written or run.
pub fn faster(
    model: &Model,
    layers: &BTreeSet<String>,
    groups: &[BTreeSet<String>],
    frame: &Named,
    rounds: usize,
    plan: &dyn Fn(&BTreeSet<String>) -> Result<Plan, ExportError>,
    progress: &dyn Progress,
) -> Result<Vec<Kept>, ExportError> {
    /// What a saving must be to be one.
    const SAVED: f64 = 0.97;
    let times = |sets: [&BTreeSet<String>; 2]| -> Result<[f64; 2], ExportError> {
        let mut chains = Vec::with_capacity(2);
        for set in sets {
            chains.push(vec![(open(model, &plan(set)?)?, frame.clone())]);
        }
        let found = alternate(&mut chains, rounds)?;
        Ok([0, 1].map(|i| found.get(i).map_or(f64::NAN, |timed| timed.min_ms)))
    };
    let mut now = layers.clone();
    let mut kept = Vec::new();
    progress.begin("time layers", groups.len() as u64, 0);
    for (number, group) in groups.iter().enumerate() {
        progress.advance(number as u64, group.first().map_or("", String::as_str));
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
    progress.end();
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
    fn the_worst_layers_of_every_output_stay_until_the_rest_fits() {
        let measured =
            [sensitivity("a", [30.0, 60.0]), sensitivity("b", [50.0, 20.0]), sensitivity("c", [50.0, f64::INFINITY])];
        let names = |budget: f64| -> Vec<String> {
            over_budget(&measured, 10f64.powf(-budget / 10.0)).into_iter().map(|k| k.layer).collect()
        };
        assert!(names(10.0).is_empty());
        assert_eq!(names(25.0), ["b"]);
        assert_eq!(names(40.0), ["a", "b"]);
        // Two at 50 dB are 47 dB together.
        assert_eq!(names(46.9), ["a", "b"]);
        assert_eq!(names(47.1), ["a", "c", "b"]);
        // The layer that costs less goes first, though it has less noise.
        let mut costly = measured.clone();
        costly[1].cost = 1e4;
        let kept = over_budget(&costly[1..], 10f64.powf(-4.9));
        assert_eq!(kept.iter().map(|k| k.layer.as_str()).collect::<Vec<_>>(), ["c", "b"]);
    }
}
