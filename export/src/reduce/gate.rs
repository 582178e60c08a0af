//! The accuracy gate: what a model of less precision loses, measured on pairs that no choice was made on, and whether that is too much.

use super::frames::{Frame, Frames};
use super::score::{TaskScore, score};
use crate::error::ExportError;
use crate::verify::seen_by_task;
use caf_bundle::MeasuredLoss;
use caf_console::Progress;
use caf_contract::{Contract, Mismatch, OUTPUT_FUSED, Precision, TaskContract};
use caf_engine::{Array, Engine, Values, View};
use caf_eval::fusion::{Gray, MI, Picture, Profile, Triple, VIF, score as fusion_score};
use caf_geometry::Size;
use caf_image::color::quantized;
use serde::{Deserialize, Serialize};

/// Mean and worst over the pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Of the worst pair.
    pub worst: f64,
}

/// The same measure of both models.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Both {
    /// Of the model in single precision.
    pub single: f64,
    /// Of the other.
    pub reduced: f64,
}

impl Both {
    /// How much less the other has.
    #[must_use]
    pub fn lost(self) -> f64 {
        self.single - self.reduced
    }
}

/// What a model loses against the one in single precision. What a model or a data set has not is not measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Of the model that was measured.
    pub precision: Precision,
    /// Pairs that it was measured on.
    pub pairs: usize,
    /// PSNR of the fused image against the other model's, over all channels of bytes, in dB. Equal images count as 100.
    pub psnr_db: Option<Spread>,
    /// SSIM of the two fused images in gray (11×11 Gaussian window, 8 bits).
    pub ssim: Option<Spread>,
    /// Mutual information of the fused image with both sources, in bits, mean over the pairs.
    pub mi: Option<Both>,
    /// Visual information fidelity of the fused image, mean over the pairs.
    pub vif: Option<Both>,
    /// The tasks that the pairs have labels for.
    pub tasks: Vec<TaskLoss>,
}

/// What a model loses of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskLoss {
    /// Name of the task.
    pub task: String,
    /// What it is scored by, for people: [`caf_contract::Task::score`].
    pub score: String,
    /// Labels that results were compared with, those of the model's classes: objects, or pixels of masks.
    pub labels: u64,
    /// The score, in points.
    pub points: Both,
}

/// PSNR of equal images.
pub const MOST_DB: f64 = 100.0;

/// What a model may lose at most; what is `None` is not limited.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Least mean PSNR, in dB.
    pub psnr_db: Option<f64>,
    /// Least mean SSIM.
    pub ssim: Option<f64>,
    /// Most points of a task's score that may be lost.
    pub points: Option<f64>,
}

impl Limits {
    /// None at all.
    pub const NONE: Limits = Limits { psnr_db: None, ssim: None, points: None };

    /// The usual ones: half precision must not be seen, integers hardly.
    #[must_use]
    pub const fn of(precision: Precision) -> Self {
        match precision {
            Precision::Fp32 => Limits { psnr_db: Some(MOST_DB), ssim: Some(1.0), points: Some(0.0) },
            Precision::Fp16 => Limits { psnr_db: Some(45.0), ssim: None, points: Some(0.2) },
            Precision::Int8 => Limits { psnr_db: None, ssim: Some(0.98), points: Some(1.0) },
        }
    }
}

impl Limits {
    /// Every limit that a loss does not keep, in words; none of a model that is good enough. What the model promises and was not measured
    /// keeps no limit.
    #[must_use]
    pub fn faults(&self, loss: &MeasuredLoss, contract: &Contract) -> Vec<String> {
        let mut faults = Vec::new();
        let mut least = |name: &str, unit: &str, limit: Option<f64>, found: Option<f64>| {
            let kept = limit.is_none_or(|limit| found.is_some_and(|found| found >= limit));
            if let (Some(limit), false) = (limit, kept) {
                let found = found.map_or("nothing that was measured".to_owned(), |f| format!("{f:.4}{unit}"));
                faults.push(format!("{name}: expected at least {limit}{unit}, found {found}"));
            }
        };
        if contract.fuses() {
            least("PSNR", " dB", self.psnr_db, loss.fused_psnr_db);
            least("SSIM", "", self.ssim, loss.fused_ssim);
        }
        for promise in &contract.tasks {
            let (name, found) = (promise.task().score, loss.points_lost.get(promise.name()).copied());
            let kept = self.points.is_none_or(|limit| found.is_some_and(|found| found <= limit));
            if let (Some(limit), false) = (self.points, kept) {
                let found =
                    found.map_or("pairs without labels of its classes".to_owned(), |lost| format!("{lost:.2} less"));
                faults.push(format!("{name}: expected at most {limit} points less than in fp32, found {found}"));
            }
        }
        faults
    }
}

impl From<&Loss> for MeasuredLoss {
    fn from(loss: &Loss) -> Self {
        let mean = |spread: Option<Spread>| spread.map(|s| s.mean);
        let lost = |both: Option<Both>| both.map(Both::lost);
        MeasuredLoss {
            pairs: loss.pairs,
            fused_psnr_db: mean(loss.psnr_db),
            fused_ssim: mean(loss.ssim),
            mutual_information_lost: lost(loss.mi),
            vif_lost: lost(loss.vif),
            points_lost: loss.tasks.iter().map(|task| (task.task.clone(), task.points.lost())).collect(),
        }
    }
}

impl Loss {
    /// What was measured, line by line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let (Some(psnr), Some(ssim)) = (self.psnr_db, self.ssim) {
            lines.push(format!(
                "fused image: PSNR {:.2} dB (worst pair {:.2}), SSIM {:.4} (worst pair {:.4})",
                psnr.mean, psnr.worst, ssim.mean, ssim.worst
            ));
        }
        let of_both = |name: &str, both: Both| {
            format!("{name}: {:.3} in fp32, {:.3} in {}", both.single, both.reduced, self.precision.name())
        };
        lines.extend(self.mi.map(|both| of_both("MI", both)));
        lines.extend(self.vif.map(|both| of_both("VIF", both)));
        lines.extend(self.tasks.iter().map(|t| format!("{}, on {} labels", of_both(&t.score, t.points), t.labels)));
        lines
    }
}

/// A loss and what is said of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was measured.
    pub loss: Loss,
    /// What may be lost.
    pub limits: Limits,
    /// Every limit that is not kept, in words; none of a model that is good enough.
    pub faults: Vec<String>,
}

impl Verdict {
    /// Of a model with this contract. A limit on something that the model promises and that was not measured is not kept.
    #[must_use]
    pub fn new(loss: Loss, limits: Limits, contract: &Contract) -> Self {
        let faults = limits.faults(&MeasuredLoss::from(&loss), contract);
        Self { loss, limits, faults }
    }
}

/// Sums over the pairs.
#[derive(Default)]
struct Sums {
    fused: usize,
    psnr: Vec<f64>,
    ssim: Vec<f64>,
    mi: [f64; 2],
    vif: [f64; 2],
}

/// Measures `reduced` against `single` on all pairs.
///
/// # Errors
/// When a pair cannot be read, a run fails, or no measure can be made at all.
pub fn measure(
    contract: &Contract,
    single: &mut Engine,
    reduced: &mut Engine,
    frames: &Frames,
    progress: &dyn Progress,
) -> Result<Loss, ExportError> {
    let scored = |task| Some((task, [score(task, frames)?, score(task, frames)?]));
    let mut scores: Vec<_> = contract.tasks.iter().filter_map(scored).collect();
    let mut sums = Sums::default();
    progress.begin("measure the loss", frames.count() as u64, 0);
    for index in 0..frames.count() {
        let frame = frames.load(index)?;
        let outputs = [single.run(&frame.inputs)?, reduced.run(&frame.inputs)?];
        compare_fused(&frame, &outputs, &mut sums)?;
        for (task, both) in &mut scores {
            for (score, outputs) in both.iter_mut().zip(&outputs) {
                score.add(&frame, first_image(&frame, outputs, task.output())?)?;
            }
        }
        progress.advance(index as u64 + 1, &frame.sample.name);
    }
    progress.end();
    let task_loss = |(task, [single, reduced]): &(&TaskContract, [Box<dyn TaskScore>; 2])| {
        let points = Both { single: single.points()?, reduced: reduced.points()? };
        let (name, score) = (task.name().to_owned(), task.task().score.to_owned());
        Some(TaskLoss { task: name, score, labels: single.labels(), points })
    };
    let mean = |[a, b]: [f64; 2]| Both { single: a / sums.fused as f64, reduced: b / sums.fused as f64 };
    let loss = Loss {
        precision: reduced.contract().map_or(Precision::Fp32, |c| c.precision),
        pairs: frames.count(),
        psnr_db: spread(&sums.psnr),
        ssim: spread(&sums.ssim),
        mi: (sums.fused > 0).then(|| mean(sums.mi)),
        vif: (sums.fused > 0).then(|| mean(sums.vif)),
        tasks: scores.iter().filter_map(task_loss).collect(),
    };
    if loss.psnr_db.is_none() && loss.tasks.is_empty() {
        let what = "the held-out pairs have no label of a class of the model, and the model has no fused image: nothing can be measured";
        return Err(ExportError::settings(what));
    }
    Ok(loss)
}

/// A task's output for the first image, where the model takes several.
fn first_image<'a>(frame: &Frame, outputs: &'a [(String, Array)], output: &str) -> Result<View<'a>, ExportError> {
    let absent = || Mismatch::new(output, "an output of the model", "none".to_owned());
    let found = outputs.iter().find(|(name, _)| name == output);
    let (_, array) = found.ok_or_else(|| ExportError::Broken { found: vec![absent()] })?;
    let images = frame.inputs.first().and_then(|(_, array)| array.shape.first()).copied().unwrap_or(1).max(1);
    Ok(match &array.values {
        Values::F32(values) => View::F32(values.get(..values.len() / images).unwrap_or_default()),
        Values::U8(values) => View::U8(values.get(..values.len() / images).unwrap_or_default()),
    })
}

fn spread(values: &[f64]) -> Option<Spread> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().copied().reduce(f64::min).map(|worst| Spread { mean, worst })
}

fn compare_fused(frame: &Frame, outputs: &[Vec<(String, Array)>; 2], sums: &mut Sums) -> Result<(), ExportError> {
    let size = frame.sample.ir.size();
    let fused = outputs.each_ref().map(|outputs| fused_bytes(outputs, size));
    let [Some(single), Some(reduced)] = fused else { return Ok(()) };
    let squares: f64 = single.iter().zip(&reduced).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    let mse = squares / single.len().max(1) as f64;
    sums.psnr.push((10.0 * (255.0 * 255.0 / mse).log10()).min(MOST_DB));
    let pictures = [Picture::rgb(single, size)?, Picture::rgb(reduced, size)?];
    let [single, reduced] = [pictures[0].to_gray(), pictures[1].to_gray()];
    let ssim = Profile::named("linfeng")?.metric("SSIM_L255")?;
    let both = Triple::new(single.clone(), single, reduced)?;
    sums.ssim.push(ssim.of(&[both])?);
    let ir = Gray::new(quantized(&frame.sample.ir).into_data(), size)?;
    let vi = Picture::rgb(frame.sample.vi.data().to_vec(), size)?;
    for (i, picture) in pictures.iter().enumerate() {
        let scores = fusion_score(&[Triple::new(ir.clone(), vi.to_gray(), picture.to_gray())?], &[MI, VIF]);
        let of = |name: &str| scores.get(name).filter(|v| v.is_finite()).unwrap_or(0.0);
        if let (Some(mi), Some(vif)) = (sums.mi.get_mut(i), sums.vif.get_mut(i)) {
            *mi += of(MI.name());
            *vif += of(VIF.name());
        }
    }
    sums.fused += 1;
    Ok(())
}

/// RGB bytes of the first fused image.
fn fused_bytes(outputs: &[(String, Array)], size: Size) -> Option<Vec<u8>> {
    let (_, fused) = outputs.iter().find(|(name, _)| name == OUTPUT_FUSED)?;
    match seen_by_task(fused)?.values {
        Values::U8(bytes) => bytes.get(..size.pixels()?.checked_mul(3)?).map(<[u8]>::to_vec),
        Values::F32(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_contract::{Colour, DETECTION, Element, Extent, IrRange, Port, VERSION};

    /// Of a model that fuses and detects.
    fn contract() -> Contract {
        let fused =
            Port { name: OUTPUT_FUSED.into(), element: Element::U8, shape: vec![Extent::Open; 4], colour: Colour::Rgb };
        Contract {
            version: VERSION,
            precision: Precision::Int8,
            inputs: vec![],
            outputs: vec![fused],
            infrared_range: IrRange::Full,
            tasks: vec![(DETECTION.contract)(vec!["car".into()], Size::new(64, 64))],
            sources: vec![],
        }
    }

    fn loss() -> Loss {
        Loss {
            precision: Precision::Int8,
            pairs: 2,
            psnr_db: Some(Spread { mean: 40.0, worst: 38.0 }),
            ssim: Some(Spread { mean: 0.985, worst: 0.97 }),
            mi: None,
            vif: None,
            tasks: vec![points(59.2)],
        }
    }

    fn points(reduced: f64) -> TaskLoss {
        let [task, score] = [DETECTION.name, DETECTION.score].map(str::to_owned);
        TaskLoss { task, score, labels: 3, points: Both { single: 60.0, reduced } }
    }

    #[test]
    fn every_limit_is_held_and_what_is_no_number_is_beyond_all() {
        let contract = contract();
        let by = |limits: Limits, loss: Loss| Verdict::new(loss, limits, &contract).faults;
        let faults = |loss: Loss| by(Limits::of(Precision::Int8), loss);
        assert!(faults(loss()).is_empty());
        let worse = Loss { ssim: Some(Spread { mean: 0.979, worst: 0.9 }), ..loss() };
        assert_eq!(faults(worse), ["SSIM: expected at least 0.98, found 0.9790"]);
        let points = |reduced: f64| Loss { tasks: vec![points(reduced)], ..loss() };
        assert_eq!(faults(points(58.9)), ["mAP50: expected at most 1 points less than in fp32, found 1.10 less"]);
        let nan = Spread { mean: f64::NAN, worst: f64::NAN };
        assert_eq!(faults(Loss { ssim: Some(nan), ..loss() }).len(), 1);
        assert_eq!(faults(points(f64::NAN)).len(), 1);
        // 40 dB and 0.8 points are too much for half precision.
        assert_eq!(by(Limits::of(Precision::Fp16), loss()).len(), 2);
        // Better than in single precision is no loss.
        assert!(faults(points(65.0)).is_empty());
        // What was not measured is not good enough, unless nothing is asked of it.
        let unknown = Loss { tasks: vec![], ssim: None, ..loss() };
        assert_eq!(faults(unknown.clone()).len(), 2);
        assert!(by(Limits { psnr_db: None, ssim: None, points: None }, unknown).is_empty());
        let text = serde_json::to_string(&loss()).unwrap();
        assert_eq!(serde_json::from_str::<Loss>(&text).unwrap(), loss());
    }
}
