//! Measuring a counting network on images with boxes.

use super::settings::KIND;
use crate::error::SearchError;
use crate::tasks::own_size::at_own_size;
use crate::tasks::task::{Measured, TaskReport};
use caf_eval::counting::{CountError, CountErrors, CountReport, counted, labelled};
use caf_eval::detection::Label;
use serde::Serialize;
use tch::Kind;

/// Results of one class.
#[derive(Debug, Serialize)]
struct ClassReport<'a> {
    /// Its name.
    name: &'a str,
    #[serde(flatten)]
    error: CountError,
}

/// Compares the counts in every image with its boxes, both outside of the regions to ignore.
///
/// # Errors
/// As [`at_own_size`], and for a network whose counts are not finite.
pub(super) fn evaluate(of: &Measured<'_>) -> Result<TaskReport, SearchError> {
    let (images, classes) = (of.images.images(), of.images.classes());
    let mut errors = CountErrors::new(classes.len());
    at_own_size(of, "count", |index, _, maps| {
        let Some(image) = images.get(index) else { return Ok(()) };
        let bbox = |l: &caf_image::Label| l.to_pixels(image.size);
        let labels: Vec<Label> = image.labels.iter().map(|l| Label { class: l.class, bbox: bbox(l) }).collect();
        let ignore: Vec<_> = image.ignore.iter().map(bbox).collect();
        let maps = Vec::<f32>::try_from(maps.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?)?;
        let found = counted(&maps, classes.len(), image.size, &ignore);
        Ok(errors.accumulate(&labelled(&labels, &ignore, classes.len()), &found)?)
    })?;
    Ok(summed_up(&errors.finish(), classes))
}

fn summed_up(report: &CountReport, classes: &[String]) -> TaskReport {
    let all = report.all;
    let of_classes: Vec<ClassReport<'_>> =
        classes.iter().zip(&report.classes).map(|(name, error)| ClassReport { name, error: *error }).collect();
    TaskReport {
        kind: KIND,
        scores: [all.accuracy, all.mae, all.rmse].map(|score| score.unwrap_or(f64::NAN)).to_vec(),
        by_class: report.classes.iter().map(|error| error.accuracy).collect(),
        // Without images no network is better than another.
        fitness: all.mae.map_or(0.0, |mae| -mae),
        table: table(report, &of_classes),
        details: serde_json::json!({"images": report.images, "all": all, "classes": of_classes}),
    }
}

/// For people.
fn table(report: &CountReport, classes: &[ClassReport<'_>]) -> String {
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.3}"));
    let row = |name: &str, error: &CountError| {
        let numbers = [error.mae, error.rmse, error.accuracy, error.blind_mae].map(number);
        let [mae, rmse, accuracy, blind] = numbers;
        format!("{name:<16} {:>8} {mae:>8} {rmse:>8} {accuracy:>8} {blind:>9}\n", error.objects)
    };
    let heads = ["objects", "MAE", "RMSE", "accuracy", "blind MAE"];
    let mut text =
        format!("{:<16} {:>8} {:>8} {:>8} {:>8} {:>9}\n", "class", heads[0], heads[1], heads[2], heads[3], heads[4]);
    for class in classes {
        text += &row(class.name, &class.error);
    }
    text + &row("all", &report.all)
        + &format!(
            "errors are means over {} images; blind: who says the mean of their labels for each\n",
            report.images
        )
}
