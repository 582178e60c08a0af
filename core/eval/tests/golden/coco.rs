//! The rules of COCO.

use caf_eval::detection::coco::{IOU_THRESHOLDS, Image, ObjectSize, RECALLS, Table, Xywh, evaluate};
use caf_golden::{Tally, count, find, items, json, numbers};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::Path;

/// The golden README's.
const TOLERANCE: f64 = 1e-9;

/// Widths and heights are rounded to 2 decimals, as the boxes were handed to the benchmark's code.
fn xywh(v: &[f64]) -> Xywh {
    let cents = |v: f64| (v * 100.0).round() / 100.0;
    Xywh { x: v[0], y: v[1], w: cents(v[2] - v[0]), h: cents(v[3] - v[1]) }
}

fn images(data: &Value) -> Vec<Image> {
    let rows = |image: &Value, key: &str| -> Vec<Vec<f64>> { items(&image[key]).iter().map(numbers).collect() };
    let image = |i: &Value| Image {
        labels: rows(i, "gt").iter().map(|r| (r[0] as u32, xywh(&r[1..]))).collect(),
        ignore: vec![],
        detections: rows(i, "pred").iter().map(|r| (r[5] as u32, xywh(r), r[4])).collect(),
    };
    items(&data["images"]).iter().map(image).collect()
}

/// Compares a value that is null in the file where it is undefined.
fn close(tally: &mut Tally, what: &str, found: Option<f64>, expected: &Value) {
    assert_eq!(found.is_some(), !expected.is_null(), "{what}");
    let value = |v: Option<f64>| v.map_or(vec![], |v| vec![v]);
    tally.close(what, &value(found), &value(expected.as_f64()), TOLERANCE);
}

fn classes(tally: &mut Tally, table: &Table, expected: &Value) {
    type Measure = fn(&caf_eval::detection::coco::ClassTable) -> f64;
    let measures: [(&str, Measure); 3] =
        [("per_class_AP", |t| t.ap()), ("per_class_AP50", |t| t.ap_at(0)), ("per_class_AR", |t| t.ar())];
    for (key, measure) in measures {
        let Some(expected) = expected.get(key) else { continue };
        assert_eq!(items(expected).len(), table.classes.len(), "{key}");
        for (table, expected) in table.classes.iter().zip(items(expected)) {
            close(tally, key, table.as_ref().map(measure), expected);
        }
    }
}

#[test]
fn data_set() {
    let Some(dir) = find("COCO evaluation", "golden/evaluation") else { return };
    let data = json(&dir.join("detection_data.json"));
    let expected = &json(&dir.join("detection_expected.json"))["coco"];
    let (images, class_count) = (images(&data), count(&data["nc"]));
    let table = |size, limit| evaluate(&images, class_count, size, limit).unwrap();
    let mut tally = Tally::new("COCO evaluation");
    for (key, expected) in expected.as_object().unwrap() {
        let Some(limits) = key.strip_prefix("max_dets_") else { continue };
        tally.case(key);
        let limits: Vec<usize> = limits.split('_').map(|l| l.parse().unwrap()).collect();
        let highest = *limits.last().unwrap();
        for (size, name) in ObjectSize::ALL.into_iter().zip(["all", "small", "medium", "large"]) {
            let (found, expected) = (table(size, highest), &expected[name]);
            close(&mut tally, "AP", found.ap(), &expected["AP"]);
            close(&mut tally, "AP50", found.ap_at(0), &expected["AP50"]);
            close(&mut tally, "AP75", found.ap_at(5), &expected["AP75"]);
            close(&mut tally, "AR", found.ar(), &expected["AR"]);
            classes(&mut tally, &found, expected);
        }
        for limit in &limits {
            if let Some(expected) = expected.get(format!("AR_at_{limit}")) {
                close(&mut tally, "AR at fewer detections", table(ObjectSize::All, *limit).ar(), expected);
            }
        }
    }
    tally.case("summarize_stats_12");
    let [all, small, medium, large] = ObjectSize::ALL.map(|s| table(s, 100));
    let recall = |limit| table(ObjectSize::All, limit).ar();
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
    let summary = items(&expected["summarize_stats_12"]);
    assert_eq!(summary.len(), twelve.len());
    for (found, expected) in twelve.into_iter().zip(summary) {
        close(&mut tally, "summary", found, expected);
    }
    precision(&dir.join("coco_precision.safetensors"), &all, &mut tally);
    tally.finish();
}

/// Every point of the precision curves, -1 where a class has no label.
fn precision(path: &Path, table: &Table, tally: &mut Tally) {
    let file = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&file).unwrap();
    let view = file.tensor("precision").unwrap();
    assert_eq!(view.shape(), [IOU_THRESHOLDS, RECALLS, table.classes.len()]);
    let expected: Vec<f64> = view.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
    let point = |i: usize| {
        let (class, point) = (i % table.classes.len(), i / table.classes.len());
        table.classes[class].as_ref().map_or(-1.0, |c| c.precision[point / RECALLS][point % RECALLS])
    };
    tally.case("coco_precision");
    tally.close("precision", &(0..expected.len()).map(point).collect::<Vec<_>>(), &expected, TOLERANCE);
}

#[test]
fn ties() {
    let Some(dir) = find("COCO ties", "golden/evaluation") else { return };
    let data = json(&dir.join("detection_ties.json"));
    let table = evaluate(&images(&data), count(&data["nc"]), ObjectSize::All, 100).unwrap();
    let mut tally = Tally::new("COCO ties");
    tally.case("detection_ties");
    classes(&mut tally, &table, &data["coco"]);
    tally.finish();
}
