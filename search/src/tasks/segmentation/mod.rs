//! Segmentation: SegFormer or DeepLabV3+, by SegFormer's original loss and course; measured by intersection over union.

mod evaluate;
mod learner;
mod loss;
mod settings;
mod size;

pub use settings::{Mean, SegmentationSettings};
pub use size::{DeepLabSettings, SegmentationVariant};

use super::task::{TaskKind, read, resolve};
use crate::loader::Annotation;
use caf_report::ScoreChart;
use evaluate::evaluate;
use learner::Learner;
use settings::{KIND, PARTS, SCORES, SIDES};

/// The task.
pub(super) static SEGMENTATION: TaskKind = TaskKind {
    kind: KIND,
    network: &caf_contract::SEGMENTATION,
    annotation: Annotation::Masks,
    sides: SIDES,
    parts: &PARTS,
    scores: &SCORES,
    class_score: "iou",
    chart: ScoreChart {
        title: "Segmentation of validation images",
        y: "mean over classes, 0 to 1",
        curves: &[("mIoU", "miou"), ("mAcc", "macc")],
    },
    resolve: resolve::<SegmentationSettings>,
    check: |settings| read::<SegmentationSettings>(settings)?.check(),
    begin: |setup| Ok(Box::new(Learner::begin(setup)?)),
    measure: evaluate,
};
