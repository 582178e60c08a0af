//! Segmentation: SegFormer by its original loss and course; measured by intersection over union.

mod evaluate;
mod learner;
mod loss;
mod settings;

pub use settings::{Mean, SegmentationSettings};

use super::setup::Setup;
use super::task::{Measured, Task, TaskKind, TaskReport, read, resolve};
use crate::error::SearchError;
use crate::loader::Annotation;
use caf_net::zoo;
use caf_report::ScoreChart;
use evaluate::evaluate;
use learner::Learner;
use settings::{KIND, PARTS, SCORES, SIDES};
use toml::Table;

/// The task.
#[derive(Debug)]
pub struct Segmentation;

impl TaskKind for Segmentation {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn network(&self) -> zoo::task::Task {
        zoo::task::Task::Segmentation
    }

    fn annotation(&self) -> Annotation {
        Annotation::Masks
    }

    fn sides(&self) -> Sides {
        SIDES
    }

    fn parts(&self) -> &'static [&'static str] {
        &PARTS
    }

    fn scores(&self) -> &'static [&'static str] {
        &SCORES
    }

    fn class_score(&self) -> &'static str {
        "iou"
    }

    fn chart(&self) -> ScoreChart {
        ScoreChart {
            title: "Segmentation of validation images",
            y: "mean over classes, 0 to 1",
            curves: &[("mIoU", "miou"), ("mAcc", "macc")],
        }
    }

    fn resolve(&self, table: Table) -> Result<Table, String> {
        resolve::<SegmentationSettings>(table)
    }

    fn check(&self, settings: &Table) -> Result<(), SearchError> {
        read::<SegmentationSettings>(settings)?.check()
    }

    fn begin(&self, setup: &Setup<'_>) -> Result<Box<dyn Task>, SearchError> {
        Ok(Box::new(Learner::begin(setup)?))
    }

    fn measure(&self, of: &Measured<'_>) -> Result<TaskReport, SearchError> {
        evaluate(of)
    }
}
