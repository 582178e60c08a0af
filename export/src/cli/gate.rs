//! `caf-export gate`, and the limits of what less precision may lose.

use super::parse::{self, Points};
use anyhow::bail;
use caf_bundle::MeasuredLoss;
use caf_console::{Console, Paths, claim, out, write_json};
use caf_contract::{Contract, Precision, Task};
use caf_engine::{Engine, EngineOptions};
use caf_export::ExportError;
use caf_export::reduce::{Frames, Limits, Loss, Verdict, measure};
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct LimitArguments {
    /// Least mean PSNR of the fused images against fp32, in dB; 0 for any [fp16: 45, int8: any].
    #[arg(long, value_name = "DB", value_parser = parse::tolerance)]
    least_psnr: Option<f64>,
    /// Least mean SSIM of the fused images against fp32; 0 for any [fp16: any, int8: 0.98].
    #[arg(long, value_name = "SSIM", value_parser = parse::tolerance)]
    least_ssim: Option<f64>,
    /// Most points of a task's score (mAP50, mIoU) that may be lost, or `any`, where pairs have no labels [fp16: 0.2, int8: 1].
    #[arg(long, value_name = "POINTS", value_parser = parse::points)]
    most_points: Option<Points>,
}

impl LimitArguments {
    /// Whether any differs from the usual ones.
    pub(super) fn given(&self) -> bool {
        self.least_psnr.is_some() || self.least_ssim.is_some() || self.most_points.is_some()
    }

    /// Refuses limits on outputs that the model has not.
    pub(super) fn check(&self, contract: &Contract) -> Result<(), ExportError> {
        let idle = [
            ("--least-psnr", self.least_psnr.is_some() && !contract.fuses(), "has no fused image"),
            ("--least-ssim", self.least_ssim.is_some() && !contract.fuses(), "has no fused image"),
            ("--most-points", self.most_points.is_some() && contract.tasks.is_empty(), "has no task"),
        ];
        match idle.into_iter().find(|(_, idle, _)| *idle) {
            Some((option, _, why)) => Err(ExportError::settings(format!("{option} has no effect: the model {why}"))),
            None => Ok(()),
        }
    }

    pub(super) fn of(&self, precision: Precision) -> Limits {
        self.over(Limits::of(precision))
    }

    /// Those that are given, the others from `usual`.
    fn over(&self, usual: Limits) -> Limits {
        Limits {
            psnr_db: self.least_psnr.or(usual.psnr_db),
            ssim: self.least_ssim.or(usual.ssim),
            points: self.most_points.map_or(usual.points, |Points(most)| most),
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  caf-export gate int8.onnx --against fp32.onnx --held-out pairs --list val.txt
  caf-export gate student.onnx --against teacher.onnx --other-networks \\
    --held-out pairs --list val.txt --least-psnr 32 --least-ssim 0.97

On a CPU, ONNX Runtime computes runs of fp16 nodes in fp32: the loss of an fp16
file shows whole on a GPU only. `onnx --precision fp16 --held-out` imitates the
roundings and measures all of it anywhere.")]
pub(crate) struct GateArguments {
    /// The model of less precision.
    model: PathBuf,
    /// The same model in fp32.
    #[arg(long, value_name = "MODEL")]
    against: PathBuf,
    /// The two hold other networks, as a student and its teacher: only what goes in and comes out must be the same, and there are no limits
    /// but those that are given.
    #[arg(long)]
    other_networks: bool,
    /// A data set of pairs that no choice was made on.
    #[arg(long, value_name = "DIR")]
    held_out: PathBuf,
    /// Only the pairs of this list in it.
    #[arg(long)]
    list: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArguments,
    /// Also write a report for machines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct GateReport<'a> {
    model: &'a Path,
    against: &'a Path,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

pub(crate) fn run(arguments: &GateArguments) -> anyhow::Result<()> {
    let GateArguments { model, against, json, .. } = arguments;
    let paths = Paths::default().file("MODEL", model.as_path()).file("--against", against.as_path());
    let (root, list) = (arguments.held_out.as_path(), arguments.list.as_deref());
    paths.data_set("--held-out", root).list("--list", root, list).writes("--json", json.as_deref()).check()?;
    claim(json.as_deref())?;
    let open = |path: &Path| {
        let engine = Engine::open(path, EngineOptions::CPU)?;
        let contract = engine.contract()?;
        anyhow::Ok((engine, contract))
    };
    let ((mut reduced, contract), (mut single, other)) = (open(model)?, open(against)?);
    let mut same = Contract { precision: contract.precision, ..other.clone() };
    if arguments.other_networks {
        same.sources.clone_from(&contract.sources);
    }
    if same != contract || other.precision != Precision::Fp32 {
        let what = format!("--against: expected the same model in fp32, found one in {}", other.precision.name());
        let what = if same == contract { what } else { "--against: its contract is that of another model".to_owned() };
        return Err(ExportError::settings(what).into());
    }
    arguments.limits.check(&contract)?;
    let frames = Frames::open(root, list, &contract)?;
    let loss = measure(&contract, &mut single, &mut reduced, &frames, &Console::default())?;
    let usual = if arguments.other_networks { Limits::NONE } else { Limits::of(contract.precision) };
    let verdict = Verdict::new(loss, arguments.limits.over(usual), &contract);
    write_json(json.as_deref(), &GateReport { model, against, verdict: &verdict })?;
    tell(&verdict.loss)?;
    refuse(&verdict, model)?;
    out!("{}: within its limits", model.display())?;
    Ok(())
}

/// Fails where a limit is not kept.
pub(super) fn refuse(verdict: &Verdict, model: &Path) -> anyhow::Result<()> {
    match verdict.faults.as_slice() {
        [] => Ok(()),
        faults => bail!("{}: too much is lost: {}", model.display(), faults.join("; ")),
    }
}

/// Says what a bundle holds of it.
pub(super) fn tell_measured(loss: &MeasuredLoss) -> anyhow::Result<()> {
    let number = |value: Option<f64>| value.map_or("not measured".to_owned(), |value| format!("{value:.4}"));
    let of_task = |(task, lost): (&String, &f64)| {
        format!(", points of {} {lost:.4}", Task::named(task).map_or(task.as_str(), |task| task.score))
    };
    let points: String = loss.points_lost.iter().map(of_task).collect();
    out!(
        "  against fp32 on {} held-out pairs: PSNR {} dB, SSIM {}; less MI {}, VIF {}{points}",
        loss.pairs,
        number(loss.fused_psnr_db),
        number(loss.fused_ssim),
        number(loss.mutual_information_lost),
        number(loss.vif_lost),
    )?;
    Ok(())
}

/// Says what was measured.
pub(super) fn tell(loss: &Loss) -> anyhow::Result<()> {
    out!("loss on {} held-out pairs:", loss.pairs)?;
    loss.lines().iter().try_for_each(|line| out!("  {line}"))?;
    Ok(())
}
