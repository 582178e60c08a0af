//! The rules of COCO.

use caf_eval::detection::coco::{IOU_THRESHOLDS, Image, RECALLS, Size, Table, Xywh, evaluate};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::shared;

/// The golden README's.
const TOLERANCE: f64 = 1e-9;

/// Widths and heights are rounded to 2 decimals, as the boxes were handed to the benchmark's code.
fn xywh(v: &[f64]) -> Xywh {
    let cents = |v: f64| (v * 100.0).round() / 100.0;
    Xywh { x: v[0], y: v[1], w: cents(v[2] - v[0]), h: cents(v[3] - v[1]) }
}

fn images(data: &Value) -> Vec<Image> {
    let rows = |image: &Value, key: &str| -> Vec<Vec<f64>> {
        let row = |r: &Value| r.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        image[key].as_array().unwrap().iter().map(row).collect()
    };
    let image = |i: &Value| Image {
        labels: rows(i, "gt").iter().map(|r| (r[0] as u32, xywh(&r[1..]))).collect(),
        ignore: vec![],
        detections: rows(i, "pred").iter().map(|r| (r[5] as u32, xywh(r), r[4])).collect(),
    };
    let all: Vec<_> = data["images"].as_array().unwrap().iter().map(image).collect();
    assert!(!all.is_empty());
    all
}

#[derive(Default)]
struct Tally {
    values: usize,
    worst: f64,
}

impl Tally {
    fn close(&mut self, what: &str, found: Option<f64>, expected: &Value) {
        assert_eq!(found.is_some(), !expected.is_null(), "{what}");
        if let Some(found) = found {
            let error = (found - expected.as_f64().unwrap()).abs();
            assert!(error <= TOLERANCE, "{what}: {found}, expected {expected}");
            self.worst = self.worst.max(error);
        }
        self.values += 1;
    }

    fn classes(&mut self, table: &Table, expected: &Value) {
        for (class, table) in table.classes.iter().enumerate() {
            self.close("class AP", table.as_ref().map(|t| t.ap()), &expected["per_class_AP"][class]);
            self.close("class AP50", table.as_ref().map(|t| t.ap_at(0)), &expected["per_class_AP50"][class]);
            if let Some(recalls) = expected.get("per_class_AR") {
                self.close("class AR", table.as_ref().map(|t| t.ar()), &recalls[class]);
            }
        }
    }
}

#[test]
fn data_set() {
    let Some(dir) = shared::folder("COCO evaluation", "evaluation") else { return };
    let data = shared::json(&dir.join("detection_data.json"));
    let expected = &shared::json(&dir.join("detection_expected.json"))["coco"];
    let (images, classes) = (images(&data), data["nc"].as_u64().unwrap() as usize);
    let table = |size, limit| evaluate(&images, classes, size, limit).unwrap();
    let mut tally = Tally::default();
    for (key, expected) in expected.as_object().unwrap() {
        let Some(limits) = key.strip_prefix("max_dets_") else { continue };
        let limits: Vec<usize> = limits.split('_').map(|l| l.parse().unwrap()).collect();
        let highest = *limits.last().unwrap();
        for (size, name) in Size::ALL.into_iter().zip(["all", "small", "medium", "large"]) {
            let (found, expected) = (table(size, highest), &expected[name]);
            tally.close("AP", found.ap(), &expected["AP"]);
            tally.close("AP50", found.ap_at(0), &expected["AP50"]);
            tally.close("AP75", found.ap_at(5), &expected["AP75"]);
            tally.close("AR", found.ar(), &expected["AR"]);
            tally.classes(&found, expected);
        }
        for limit in &limits {
            if let Some(expected) = expected.get(format!("AR_at_{limit}")) {
                tally.close("AR", table(Size::All, *limit).ar(), expected);
            }
        }
    }
    let [all, small, medium, large] = Size::ALL.map(|s| table(s, 100));
    let recall = |limit| table(Size::All, limit).ar();
    let twelve = [
        all.ap(),
        all.ap_at(0),
        all.ap_at(5),
        small.ap(),
        medium.ap(),
        large.ap(),
        recall(1),
        recall(10),
        recall(100),
        small.ar(),
        medium.ar(),
        large.ar(),
    ];
    for (found, expected) in twelve.into_iter().zip(expected["summarize_stats_12"].as_array().unwrap()) {
        tally.close("summary", found, expected);
    }
    precision(&dir.join("coco_precision.safetensors"), &all, &mut tally);
    shared::say(&format!(
        "COCO evaluation: {} images, {} values within {:.1e}",
        images.len(),
        tally.values,
        tally.worst
    ));
}

/// Every point of the precision curves, -1 where a class has no label.
fn precision(path: &std::path::Path, table: &Table, tally: &mut Tally) {
    let file = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&file).unwrap();
    let view = file.tensor("precision").unwrap();
    assert_eq!(view.shape(), [IOU_THRESHOLDS, RECALLS, table.classes.len()]);
    let values = view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap()));
    for (i, expected) in values.enumerate() {
        let (class, point) = (i % table.classes.len(), i / table.classes.len());
        let found = table.classes[class].as_ref().map_or(-1.0, |c| c.precision[point / RECALLS][point % RECALLS]);
        tally.close("precision", Some(found), &serde_json::json!(expected));
    }
}

#[test]
fn ties() {
    let Some(dir) = shared::folder("COCO ties", "evaluation") else { return };
    let data = shared::json(&dir.join("detection_ties.json"));
    let classes = data["nc"].as_u64().unwrap() as usize;
    let table = evaluate(&images(&data), classes, Size::All, 100).unwrap();
    let mut tally = Tally::default();
    tally.classes(&table, &data["coco"]);
    shared::say(&format!("COCO ties: {} values within {:.1e}", tally.values, tally.worst));
}
