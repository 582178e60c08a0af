//! Counting: how many objects of each class there are, learnt as density maps from the centres of their boxes.

mod density;
mod evaluate;
mod learner;
mod settings;

pub use settings::CountingSettings;

use super::task::{TaskKind, read, resolve};
use crate::loader::Annotation;
use caf_report::ScoreChart;
use evaluate::evaluate;
use learner::Learner;
use settings::{KIND, PARTS, SCORES, SIDES};

/// The task.
pub(super) static COUNTING: TaskKind = TaskKind {
    kind: KIND,
    network: &caf_contract::COUNTING,
    annotation: Annotation::Boxes,
    sides: SIDES,
    parts: &PARTS,
    scores: &SCORES,
    class_score: "accuracy",
    chart: ScoreChart {
        title: "Counts in validation images",
        y: "1 − sum of errors / objects",
        curves: &[("count accuracy", "accuracy")],
    },
    resolve: resolve::<CountingSettings>,
    check: |settings| read::<CountingSettings>(settings)?.check(),
    begin: |setup| Ok(Box::new(Learner::begin(setup)?)),
    measure: evaluate,
};
