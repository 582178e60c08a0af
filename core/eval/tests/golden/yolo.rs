//! The rules of YOLOv5.

use caf_eval::detection::confusion::{CONFIDENCE, ConfusionMatrix, IOU};
use caf_eval::detection::{ImageRecord, Label, Outcome, average_precision, box_smooth, match_image, yolo};
use caf_geometry::{Detection, Xyxy};
use caf_golden::{Tally, count, find, items, json, number, numbers};
use serde_json::Value;
use std::collections::HashSet;

/// Metrics: float32 confidences enter the interpolation (golden README).
const TOLERANCE: f64 = 1e-6;

fn xyxy(v: &[f64]) -> Xyxy {
    Xyxy::new(v[0] as f32, v[1] as f32, v[2] as f32, v[3] as f32)
}

fn record(image: &Value) -> ImageRecord {
    let rows = |key: &str| items(&image[key]).iter().map(numbers).collect::<Vec<_>>();
    ImageRecord {
        labels: rows("gt").iter().map(|r| Label { class: r[0] as u32, bbox: xyxy(&r[1..]) }).collect(),
        ignore: vec![],
        detections: rows("pred")
            .iter()
            .map(|r| {
                Detection { x1: 0.0, y1: 0.0, x2: 0.0, y2: 0.0, score: r[4] as f32, class: r[5] as u32 }
                    .with_box(xyxy(r))
            })
            .collect(),
    }
}

/// Compares the matching strings of all images.
fn compare_strings<'a>(tally: &mut Tally, images: &[ImageRecord], expected: impl Iterator<Item = &'a Value>) {
    let expected: Vec<&Value> = expected.collect();
    assert_eq!(images.len(), expected.len(), "number of images");
    let string =
        |row: &[Outcome; 10]| row.iter().map(|&o| if o == Outcome::Hit { '1' } else { '0' }).collect::<String>();
    for (image, expected) in images.iter().zip(expected) {
        let found: Vec<String> = match_image(image).iter().map(string).collect();
        let expected: Vec<&str> = items(expected).iter().map(|s| s.as_str().unwrap()).collect();
        tally.equal("matches", &found, &expected);
    }
}

#[test]
fn data_set() {
    let test = "YOLOv5 evaluation";
    let Some(dir) = find(test, "golden/evaluation") else { return };
    let json = |name: &str| json(&dir.join(name));
    let (data, correct, expected) =
        (json("detection_data.json"), json("detection_correct.json"), json("detection_expected.json"));
    let mut tally = Tally::new(test);
    tally.case("detection_data");
    let images: Vec<ImageRecord> = items(&data["images"]).iter().map(record).collect();
    let classes = count(&data["nc"]);
    let ids = |of: &Value| items(&of["images"]).iter().map(|i| count(&i["id"])).collect::<Vec<_>>();
    tally.equal("images", &ids(&data), &ids(&correct));
    compare_strings(&mut tally, &images, items(&correct["images"]).iter().map(|i| &i["correct"]));
    let total = |of: fn(&ImageRecord) -> usize| images.iter().map(of).sum::<usize>();
    let sizes = [images.len(), total(|i| i.labels.len()), total(|i| i.detections.len())];
    tally.equal("sizes", &sizes, &["images", "labels", "predictions"].map(|key| count(&expected["checks"][key])));

    let report = yolo::evaluate(&images, classes).unwrap();
    let yolo = &expected["yolov5"];
    let per_class = items(&yolo["per_class"]);
    assert_eq!(per_class.len(), report.classes.len());
    let labelled: Vec<usize> = report.classes.iter().map(|c| c.class as usize).collect();
    tally.equal("classes", &labelled, &items(&yolo["classes_with_labels"]).iter().map(count).collect::<Vec<_>>());
    for (found, expected) in report.classes.iter().zip(per_class) {
        tally.equal("classes", &[found.class as usize], &[count(&expected["cls"])]);
        tally.equal("labels", &[found.labels], &[count(&yolo["labels_per_class"][found.class as usize])]);
        for (key, value) in [
            ("tp", found.tp),
            ("fp", found.fp),
            ("precision", found.precision),
            ("recall", found.recall),
            ("f1", found.f1),
            ("ap50", found.ap50()),
            ("ap50_95", found.ap50_95()),
        ] {
            tally.close(key, &[value], &[number(&expected[key])], TOLERANCE);
        }
        tally.close("ap_by_iou", &found.ap, &numbers(&expected["ap_by_iou"]), TOLERANCE);
    }
    for (key, value) in [
        ("precision", report.precision),
        ("recall", report.recall),
        ("f1", report.f1),
        ("map50", report.map50),
        ("map50_95", report.map50_95),
        ("fitness", report.fitness),
    ] {
        tally.close(&format!("mean {key}"), &[value], &[number(&yolo["mean"][key])], TOLERANCE);
    }
    compare_confusion(&mut tally, &images, classes, &expected["confusion_matrix"]);
    tally.finish();
}

fn counts(images: &[ImageRecord], classes: usize) -> Vec<i64> {
    ConfusionMatrix::of(images, classes).unwrap().rows.into_iter().flatten().map(|n| n as i64).collect()
}

/// Detections with equal boxes and other classes overlap a label equally; which of them the original takes depends on an
/// unstable sort (in one image of these data it takes the first for one label and the last for another). So the matrix must
/// be equal up to such choices: the difference must be a sum of what some of them change.
fn compare_confusion(tally: &mut Tally, images: &[ImageRecord], classes: usize, expected: &Value) {
    let thresholds = ["conf", "iou"].map(|key| number(&expected[key]) as f32);
    tally.equal("thresholds of the confusion", &[CONFIDENCE, IOU], &thresholds);
    let expected: Vec<i64> = items(&expected["matrix"]).iter().flat_map(numbers).map(|n| n as i64).collect();
    let found = counts(images, classes);
    assert_eq!(found.len(), expected.len());
    // Every matrix that some of the choices lead to.
    let mut reachable = HashSet::from([found.clone()]);
    for image in images {
        let base = counts(std::slice::from_ref(image), classes);
        let n = image.detections.len();
        for (a, b) in (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))) {
            let [first, second] = [image.detections[a], image.detections[b]];
            if first.xyxy() != second.xyxy() || first.score.min(second.score) <= CONFIDENCE {
                continue;
            }
            let mut other = image.clone();
            other.detections[a].score = second.score;
            other.detections[b].score = first.score;
            let change: Vec<i64> = counts(&[other], classes).iter().zip(&base).map(|(o, b)| o - b).collect();
            let changed = |matrix: &Vec<i64>| matrix.iter().zip(&change).map(|(m, c)| m + c).collect::<Vec<_>>();
            let further: Vec<Vec<i64>> = reachable.iter().map(changed).collect();
            reachable.extend(further);
            assert!(reachable.len() < 100_000, "too many open choices to try");
        }
    }
    assert!(reachable.contains(&expected), "found {found:?}, expected {expected:?}, {} are open", reachable.len());
    tally.add("confusion", expected.len(), 0.0, 0.0);
}

#[test]
fn ties() {
    let test = "YOLOv5 ties";
    let Some(dir) = find(test, "golden/evaluation") else { return };
    let data = json(&dir.join("detection_ties.json"));
    let mut tally = Tally::new(test);
    tally.case("detection_ties");
    let images: Vec<ImageRecord> = items(&data["images"]).iter().map(record).collect();
    compare_strings(&mut tally, &images, items(&data["correct"]).iter());
    let report = yolo::evaluate(&images, count(&data["nc"])).unwrap();
    for key in ["ap50", "ap50_95"] {
        let found: Vec<f64> =
            report.classes.iter().map(|c| if key == "ap50" { c.ap50() } else { c.ap50_95() }).collect();
        let of = |order: &str| numbers(&data[order][key]);
        tally.close(key, &found, &of("stable_order"), TOLERANCE);
        let [low, high] = [of("false_positives_first"), of("true_positives_first")];
        assert_eq!((low.len(), high.len()), (found.len(), found.len()), "{key}");
        for ((value, low), high) in found.iter().zip(low).zip(high) {
            tally.add(&format!("{key}, beyond the extremes"), 2, (low - value).max(value - high).max(0.0), TOLERANCE);
        }
    }
    tally.finish();
}

#[test]
fn functions() {
    let test = "YOLOv5 functions";
    let Some(dir) = find(test, "golden/evaluation") else { return };
    let all = json(&dir.join("detection_functions.json"));
    let mut tally = Tally::new(test);
    for (name, case) in all.as_object().unwrap() {
        tally.case(name);
        match name.as_str() {
            "compute_ap" => {
                let found = average_precision(&numbers(&case["recall"]), &numbers(&case["precision"]));
                tally.close(name, &[found], &[number(&case["ap"])], 1e-12);
            }
            "smooth" => {
                let found = box_smooth(&numbers(&case["input"]), number(&case["fraction"]));
                tally.close(name, &found, &numbers(&case["output"]), 1e-12);
            }
            "box_iou" => {
                let boxes = |key: &str| items(&case[key]).iter().map(|b| xyxy(&numbers(b))).collect::<Vec<_>>();
                let (a, b) = (boxes("a"), boxes("b"));
                let found: Vec<f32> = a.iter().flat_map(|a| b.iter().map(|b| a.iou(*b))).collect();
                let rows = items(&case["iou"]).iter().map(numbers).collect::<Vec<_>>();
                assert!(rows.len() == a.len() && rows.iter().all(|row| row.len() == b.len()));
                tally.close(name, &found, &rows.concat(), 0.0);
            }
            other => panic!("no counterpart of {other}"),
        }
    }
    tally.finish();
}
