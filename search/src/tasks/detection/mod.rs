//! Detection: YOLOv5 by its original loss and course, mosaic left out; measured by average precision.

mod evaluate;
mod learner;
mod report;
mod settings;

pub use settings::DetectionSettings;

use super::task::{TaskKind, read, resolve};
use crate::loader::Annotation;
use caf_report::ScoreChart;
use evaluate::evaluate;
use learner::Learner;
use settings::{KIND, PARTS, SCORES, SIDES};

/// The task.
pub(super) static DETECTION: TaskKind = TaskKind {
    kind: KIND,
    network: &caf_contract::DETECTION,
    annotation: Annotation::Boxes,
    sides: SIDES,
    parts: &PARTS,
    scores: &SCORES,
    class_score: "ap50",
    chart: ScoreChart {
        title: "Average precision on validation images",
        y: "mean over classes, 0 to 1",
        curves: &[("AP@.5", "map50"), ("AP@.5:.95", "map50_95")],
    },
    resolve: resolve::<DetectionSettings>,
    check: |settings| read::<DetectionSettings>(settings)?.check(),
    begin: |setup| Ok(Box::new(Learner::begin(setup)?)),
    measure: |of| evaluate(of, &DetectionSettings::default().nms),
};

#[cfg(test)]
mod tests {
    use super::*;
    use toml::Table;

    #[test]
    fn the_defaults_are_valid_and_survive_toml() {
        let table = resolve::<DetectionSettings>(Table::new()).unwrap();
        (DETECTION.check)(&table).unwrap();
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
            let table = (DETECTION.resolve)(toml::from_str(text).unwrap()).unwrap();
            let error = (DETECTION.check)(&table).unwrap_err();
            assert!(error.to_string().contains(name) && error.is_wrong_call(), "{error}");
        }
    }
}
