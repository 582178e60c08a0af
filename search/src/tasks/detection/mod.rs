//! Detection: YOLOv5 by its original loss and course, mosaic left out; measured by average precision.

mod evaluate;
mod learner;
mod report;
mod settings;

pub use settings::DetectionSettings;

use super::setup::Setup;
use super::task::{Measured, Task, TaskKind, TaskReport, read, resolve};
use crate::error::SearchError;
use crate::loader::Annotation;
use crate::run_settings::require_not_negative;
use caf_net::zoo;
use caf_report::ScoreChart;
use caf_yolo::Schedule;
use evaluate::evaluate;
use learner::Learner;
use settings::{KIND, PARTS, SCORES, SIDES};
use toml::Table;

/// The task.
#[derive(Debug)]
pub struct Detection;

impl TaskKind for Detection {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn network(&self) -> zoo::task::Task {
        zoo::task::Task::Detection
    }

    fn annotation(&self) -> Annotation {
        Annotation::Boxes
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
        "ap50"
    }

    fn chart(&self) -> ScoreChart {
        ScoreChart {
            title: "Average precision on validation images",
            y: "mean over classes, 0 to 1",
            curves: &[("AP@.5", "map50"), ("AP@.5:.95", "map50_95")],
        }
    }

    fn resolve(&self, table: Table) -> Result<Table, String> {
        resolve::<DetectionSettings>(table)
    }

    fn check(&self, settings: &Table) -> Result<(), SearchError> {
        let settings: DetectionSettings = read(settings)?;
        let optimizer = &settings.optimizer;
        require_not_negative("task.optimizer.clip_norm", optimizer.clip_norm)?;
        settings.nms.validate()?;
        settings.loss.check()?;
        let schedule = Schedule {
            rate: optimizer.rate,
            final_share: optimizer.final_share,
            warmup_bias_rate: optimizer.warmup_bias_rate,
            momentum: optimizer.momentum,
            warmup_momentum: optimizer.warmup_momentum,
            decay: optimizer.decay,
            nominal_batch: optimizer.nominal_batch,
            ..Schedule::original(1, 1, 1)
        };
        Ok(schedule.check()?)
    }

    fn begin(&self, setup: &Setup<'_>) -> Result<Box<dyn Task>, SearchError> {
        Ok(Box::new(Learner::begin(setup)?))
    }

    fn measure(&self, of: &Measured<'_>) -> Result<TaskReport, SearchError> {
        evaluate(of, &DetectionSettings::default().nms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_survive_toml() {
        let table = resolve::<DetectionSettings>(Table::new()).unwrap();
        Detection.check(&table).unwrap();
        assert_eq!(read::<DetectionSettings>(&table).unwrap(), DetectionSettings::default());
    }

    #[test]
    fn bad_values_are_named() {
        for (text, name) in [
            ("[optimizer]\nrate = -1.0", "rate"),
            ("[optimizer]\nclip_norm = nan", "clip_norm"),
            ("[optimizer]\nnominal_batch = 0", "nominal_batch"),
            ("[loss]\nanchor_t = 0.5", "anchor_t"),
            ("[nms]\nconf = 2.0", "conf"),
        ] {
            let table = Detection.resolve(toml::from_str(text).unwrap()).unwrap();
            let error = Detection.check(&table).unwrap_err();
            assert!(error.to_string().contains(name) && error.is_wrong_call(), "{error}");
        }
    }
}
