//! What the detectors achieve on each kind of images, and what fusion metrics say: compared at a glance.

use std::collections::BTreeMap;
use std::path::Path;

use caf_report::html::{Cell, Table, percent, short};
use serde::Deserialize;

use crate::demo::files;
use crate::demo::steps::Images;

/// A class with fewer labels than this says little: one object more or less found moves it by points.
const FEW_LABELS: usize = 20;

#[derive(Debug, Deserialize)]
struct Report {
    images: usize,
    fusion: Option<BTreeMap<String, Mean>>,
    detection: Option<Detection>,
}

#[derive(Debug, Deserialize)]
struct Mean {
    mean: f64,
}

#[derive(Debug, Deserialize)]
struct Detection {
    labels: usize,
    map50: f64,
    map50_95: f64,
    classes: Vec<Class>,
}

#[derive(Debug, Deserialize)]
struct Class {
    name: String,
    labels: usize,
    ap50: Option<f64>,
}

/// All measurements that are there.
#[derive(Debug)]
pub struct Measured {
    reports: Vec<(Images, Report)>,
    absent: Vec<String>,
}

impl Images {
    fn title(self) -> &'static str {
        match self {
            Self::Fused => "fused",
            Self::Average => "plain average",
            Self::Visible => "visible",
            Self::Infrared => "infrared",
        }
    }
}

impl Measured {
    /// Reads what was measured.
    pub fn read(out: &Path) -> Self {
        let (mut reports, mut absent) = (Vec::new(), Vec::new());
        for images in Images::ALL {
            match files::read_json(out, &files::measured(images.name())) {
                Ok(report) => reports.push((images, report)),
                Err(missing) => absent.push(missing),
            }
        }
        Self { reports, absent }
    }

    fn detections(&self) -> impl Iterator<Item = (Images, &Detection)> {
        self.reports.iter().filter_map(|(images, report)| Some((*images, report.detection.as_ref()?)))
    }

    /// Mean AP@.5 over the classes that have enough labels to say something, else over all.
    fn key(detection: &Detection) -> f64 {
        let known: Vec<f64> = detection
            .classes
            .iter()
            .filter(|class| class.labels >= FEW_LABELS)
            .filter_map(|class| class.ap50)
            .collect();
        if known.is_empty() { detection.map50 } else { known.iter().sum::<f64>() / known.len() as f64 }
    }

    /// Over which classes [`Measured::key`] is taken, as a sentence needs it; none for all that have labels.
    fn key_classes(detection: &Detection) -> Option<String> {
        let measured = detection.classes.iter().filter(|class| class.labels > 0 && class.ap50.is_some());
        let (firm, few): (Vec<&Class>, Vec<&Class>) = measured.partition(|class| class.labels >= FEW_LABELS);
        let names: Vec<&str> = firm.iter().map(|class| class.name.as_str()).collect();
        (!firm.is_empty() && !few.is_empty()).then(|| names.join(", "))
    }

    /// The one number for each kind of images, with a bar.
    pub fn summary(&self) -> String {
        let Some((_, first)) = self.detections().next() else { return String::new() };
        let largest = self.detections().map(|(_, d)| Self::key(d)).fold(0.0, f64::max).max(1e-9);
        let images = self.reports.first().map_or(0, |(_, report)| report.images);
        let caption = format!(
            "AP@.5 of a detector trained on each, in %: mean of {} on {images} validation pairs",
            Self::key_classes(first).unwrap_or_else(|| "all classes".to_owned())
        );
        let mut table = Table::new(&caption, &[]);
        for (images, detection) in self.detections() {
            let key = Self::key(detection);
            table.row(vec![
                Cell::Head(images.title().to_owned()),
                Cell::Number(percent(key)),
                Cell::Bars(vec![key / largest]),
            ]);
        }
        table.html()
    }

    /// Everything that was measured.
    pub fn tables(&self) -> String {
        self.absent.concat() + &self.detection_table() + &self.fusion_table()
    }

    fn detection_table(&self) -> String {
        let all: Vec<(Images, &Detection)> = self.detections().collect();
        let Some((_, first)) = all.first() else { return String::new() };
        let heads: Vec<&str> =
            ["class", "labels"].into_iter().chain(all.iter().map(|(images, _)| images.title())).collect();
        let mut table =
            Table::new("Average precision at IoU 0.5 in %, by what the detector was trained on and sees", &heads);
        for (row, class) in first.classes.iter().enumerate() {
            let values = all.iter().map(|(_, d)| d.classes.get(row).and_then(|c| c.ap50));
            let is_firm = class.labels >= FEW_LABELS;
            let cells = compared(&class.name, class.labels.to_string(), values, is_firm);
            if is_firm { table.row(cells) } else { table.faint_row(cells) }
        }
        let labels = first.labels.to_string();
        if let Some(classes) = Self::key_classes(first) {
            let keys = all.iter().map(|(_, d)| Some(Self::key(d)));
            table.sum_row(compared(&format!("mean of {classes}"), String::new(), keys, true));
        }
        table.row(compared("mean of all classes with labels", labels, all.iter().map(|(_, d)| Some(d.map50)), true));
        table.row(compared(
            "the same at IoU 0.5 to 0.95",
            String::new(),
            all.iter().map(|(_, d)| Some(d.map50_95)),
            true,
        ));
        table.html()
    }

    fn fusion_table(&self) -> String {
        let all: Vec<_> =
            self.reports.iter().filter_map(|(images, report)| Some((*images, report.fusion.as_ref()?))).collect();
        let Some((_, first)) = all.first() else { return String::new() };
        let heads: Vec<&str> = ["metric"].into_iter().chain(all.iter().map(|(images, _)| images.title())).collect();
        let mut table =
            Table::new("Fusion metrics: what of both sources is in the fused image; larger is more", &heads);
        for name in first.keys() {
            let means: Vec<Option<f64>> = all.iter().map(|(_, f)| f.get(name).map(|mean| mean.mean)).collect();
            let best = means.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
            let mut cells = vec![Cell::Head(named(name))];
            cells.extend(means.iter().map(|mean| match mean {
                Some(mean) if *mean >= best => Cell::Best(short(*mean), 0.0),
                Some(mean) => Cell::Number(short(*mean)),
                None => Cell::Number("–".to_owned()),
            }));
            table.row(cells);
        }
        table.html()
    }
}

/// A row of shares in per cent, shaded by their size; the best is marked where the row is firm enough.
fn compared(name: &str, labels: String, values: impl Iterator<Item = Option<f64>> + Clone, is_firm: bool) -> Vec<Cell> {
    let best = values.clone().flatten().fold(f64::NEG_INFINITY, f64::max);
    let cell = |value: Option<f64>| match value {
        Some(share) if is_firm && share >= best => Cell::Best(percent(share), share),
        Some(share) => Cell::Shaded(percent(share), share),
        None => Cell::Number("–".to_owned()),
    };
    [Cell::Head(name.to_owned()), Cell::Number(labels)].into_iter().chain(values.map(cell)).collect()
}

/// The metric with what it means.
fn named(metric: &str) -> String {
    let meaning = match metric {
        "MI" => "mutual information with both sources",
        "SD" => "contrast: standard deviation of the gray values",
        "VIF" => "visual information fidelity",
        "SCD" => "what of each source the other does not explain",
        _ => return metric.to_owned(),
    };
    format!("{metric}, {meaning}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(out: &Path, images: Images, person: f64, rare: f64) {
        let path = out.join(files::measured(images.name()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let fusion =
            if images == Images::Visible { "null" } else { r#"{"MI": {"mean": 2.5, "finite": 4, "left_out": 0}}"# };
        let json = format!(
            r#"{{"images": 4, "fusion": {fusion}, "detection": {{"labels": 33, "map50": 0.3, "map50_95": 0.1, "classes": [
            {{"name": "person", "labels": 30, "ap50": {person}}}, {{"name": "bus", "labels": 3, "ap50": {rare}}},
            {{"name": "<sign>", "labels": 0, "ap50": null}}]}}}}"#
        );
        fs::write(path, json).unwrap();
    }

    #[test]
    fn the_best_is_marked_whoever_it_is_and_classes_of_few_labels_do_not_count() {
        let out = tempfile::tempdir().unwrap();
        write(out.path(), Images::Fused, 0.25, 0.875);
        write(out.path(), Images::Average, 0.5, 0.0);
        let measured = Measured::read(out.path());
        let html = measured.tables();
        assert!(html.contains("<td class=\"shaded best\" style=\"--share:28%\">50.0</td>"), "{html}");
        assert!(!html.contains("best\" style=\"--share:48%\">87.5"), "{html}");
        assert!(html.contains("mean of person") && html.contains("&lt;sign&gt;") && html.contains(">–<"), "{html}");
        assert!(html.contains("measured/visible.json cannot be shown"), "{html}");
        let summary = measured.summary();
        assert!(summary.contains("50.0") && summary.contains("width:50.0%"), "{summary}");
    }

    #[test]
    fn a_mean_over_all_classes_is_shown_once() {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join(files::measured(Images::Fused.name()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let json = r#"{"images": 4, "fusion": null, "detection": {"labels": 50, "map50": 0.45, "map50_95": 0.1, "classes": [
            {"name": "person", "labels": 30, "ap50": 0.5}, {"name": "car", "labels": 20, "ap50": 0.4},
            {"name": "lamp", "labels": 0, "ap50": null}]}}"#;
        fs::write(path, json).unwrap();
        let measured = Measured::read(out.path());
        let html = measured.detection_table();
        assert!(html.contains("mean of all classes with labels") && html.matches("mean of").count() == 1, "{html}");
        assert!(measured.summary().contains("mean of all classes"), "{}", measured.summary());
    }

    #[test]
    fn images_that_are_no_fusion_have_no_fusion_metrics() {
        let out = tempfile::tempdir().unwrap();
        write(out.path(), Images::Fused, 0.5, 0.5);
        write(out.path(), Images::Visible, 0.5, 0.5);
        let html = Measured::read(out.path()).fusion_table();
        assert!(html.contains("2.50") && !html.contains("visible"), "{html}");
    }
}
