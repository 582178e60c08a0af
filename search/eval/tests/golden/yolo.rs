//! The rules of YOLOv5.

use std::path::Path;

use caf_detect::{Detection, Xyxy};
use caf_eval::detection::confusion::{CONFIDENCE, ConfusionMatrix};
use caf_eval::detection::{ImageRecord, Label, Outcome, average_precision, box_smooth, match_image, yolo};
use serde_json::Value;

use crate::shared;

/// Metrics: float32 confidences enter the interpolation (golden README).
const TOLERANCE: f64 = 1e-6;

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn xyxy(v: &[f64]) -> Xyxy {
    Xyxy::new(v[0] as f32, v[1] as f32, v[2] as f32, v[3] as f32)
}

fn record(image: &Value) -> ImageRecord {
    let rows = |key: &str| image[key].as_array().unwrap().iter().map(numbers).collect::<Vec<_>>();
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

fn records(data: &Value) -> Vec<ImageRecord> {
    let images: Vec<_> = data["images"].as_array().unwrap().iter().map(record).collect();
    assert!(!images.is_empty());
    images
}

/// Compares the matching strings of all images; the number of characters.
fn compare_strings<'a>(images: &[ImageRecord], expected: impl Iterator<Item = &'a Value>) -> usize {
    let mut characters = 0;
    for (image, expected) in images.iter().zip(expected) {
        let expected = expected.as_array().unwrap();
        let found = match_image(image);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            let found: String = found.iter().map(|&o| if o == Outcome::Hit { '1' } else { '0' }).collect();
            assert_eq!(found, expected.as_str().unwrap());
            characters += found.len();
        }
    }
    characters
}

fn files(test: &str) -> Option<std::path::PathBuf> {
    shared::folder(test, "evaluation")
}

fn close(what: &str, found: f64, expected: &Value, tally: &mut (usize, f64)) {
    let expected = expected.as_f64().unwrap();
    let error = (found - expected).abs();
    assert!(error <= TOLERANCE, "{what}: {found}, expected {expected}");
    *tally = (tally.0 + 1, tally.1.max(error));
}

#[test]
fn data_set() {
    let Some(dir) = files("YOLOv5 evaluation") else { return };
    let json = |name: &str| shared::json(&dir.join(name));
    let (data, correct, expected) =
        (json("detection_data.json"), json("detection_correct.json"), json("detection_expected.json"));
    let images = records(&data);
    let classes = data["nc"].as_u64().unwrap() as usize;
    let strings = correct["images"].as_array().unwrap();
    assert_eq!(strings.len(), images.len());
    let characters = compare_strings(&images, strings.iter().map(|i| &i["correct"]));

    let report = yolo::evaluate(&images, classes).unwrap();
    let (yolo, mut tally) = (&expected["yolov5"], (0, 0.0));
    let per_class = yolo["per_class"].as_array().unwrap();
    assert_eq!(per_class.len(), report.classes.len());
    for (found, expected) in report.classes.iter().zip(per_class) {
        assert_eq!(u64::from(found.class), expected["cls"].as_u64().unwrap());
        assert_eq!(found.labels as u64, yolo["labels_per_class"][found.class as usize].as_u64().unwrap());
        for (key, value) in [
            ("tp", found.tp),
            ("fp", found.fp),
            ("precision", found.precision),
            ("recall", found.recall),
            ("f1", found.f1),
            ("ap50", found.ap50()),
            ("ap50_95", found.ap50_95()),
        ] {
            close(key, value, &expected[key], &mut tally);
        }
        for (found, expected) in found.ap.iter().zip(expected["ap_by_iou"].as_array().unwrap()) {
            close("ap", *found, expected, &mut tally);
        }
    }
    for (key, value) in [
        ("precision", report.precision),
        ("recall", report.recall),
        ("f1", report.f1),
        ("map50", report.map50),
        ("map50_95", report.map50_95),
        ("fitness", report.fitness),
    ] {
        close(key, value, &yolo["mean"][key], &mut tally);
    }
    let (cells, ties) = compare_confusion(&images, classes, &expected["confusion_matrix"]["matrix"]);
    shared::say(&format!(
        "YOLOv5 evaluation: {} images, {characters} matches equal, {} metrics within {:.1e}, {cells} confusion counts equal \
         with {ties} open choices",
        images.len(),
        tally.0,
        tally.1,
    ));
}

fn counts(images: &[ImageRecord], classes: usize) -> Vec<i64> {
    ConfusionMatrix::of(images, classes).unwrap().rows.into_iter().flatten().map(|n| n as i64).collect()
}

/// Detections with equal boxes and other classes overlap a label equally; which of them the original takes depends on an
/// unstable sort (in one image of these data it takes the first for one label and the last for another). So the matrix must
/// be equal up to such choices: the difference must be a sum of what some of them change. Cells and choices.
fn compare_confusion(images: &[ImageRecord], classes: usize, expected: &Value) -> (usize, usize) {
    let expected: Vec<i64> = expected.as_array().unwrap().iter().flat_map(numbers).map(|n| n as i64).collect();
    let found = counts(images, classes);
    assert_eq!(found.len(), expected.len());
    let mut choices: Vec<Vec<i64>> = vec![];
    for image in images {
        let base = counts(std::slice::from_ref(image), classes);
        let n = image.detections.len();
        for (a, b) in (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))) {
            let [first, second] = [image.detections[a], image.detections[b]];
            if first.xyxy() == second.xyxy() && first.score.min(second.score) > CONFIDENCE {
                let mut other = image.clone();
                other.detections[a].score = image.detections[b].score;
                other.detections[b].score = image.detections[a].score;
                let other = counts(&[other], classes);
                let change: Vec<i64> = other.iter().zip(&base).map(|(o, b)| o - b).collect();
                if change.iter().any(|&c| c != 0) {
                    choices.push(change);
                }
            }
        }
    }
    assert!(choices.len() < 16, "too many open choices to try");
    let fits = (0..1u32 << choices.len()).any(|taken| {
        let chosen = choices.iter().enumerate().filter(|(i, _)| taken >> i & 1 == 1);
        let sum = chosen.fold(found.clone(), |sum, (_, c)| sum.iter().zip(c).map(|(s, c)| s + c).collect());
        sum == expected
    });
    assert!(fits, "found {found:?}, expected {expected:?}, {} open choices", choices.len());
    (found.len(), choices.len())
}

#[test]
fn ties() {
    let Some(dir) = files("YOLOv5 ties") else { return };
    let data = shared::json(&dir.join("detection_ties.json"));
    let images = records(&data);
    compare_strings(&images, data["correct"].as_array().unwrap().iter());
    let report = yolo::evaluate(&images, data["nc"].as_u64().unwrap() as usize).unwrap();
    let bounds = |order: &str, key: &str, class: usize| data[order][key][class].as_f64().unwrap();
    let mut compared = 0;
    for (i, class) in report.classes.iter().enumerate() {
        for (key, value) in [("ap50", class.ap50()), ("ap50_95", class.ap50_95())] {
            let (low, high) = (bounds("false_positives_first", key, i), bounds("true_positives_first", key, i));
            assert!(value >= low - TOLERANCE && value <= high + TOLERANCE, "{key} {value} not in {low}..{high}");
            assert!((value - bounds("stable_order", key, i)).abs() <= TOLERANCE, "{key} {value}");
            compared += 1;
        }
    }
    assert!(compared > 0);
    shared::say(&format!("YOLOv5 ties: {compared} metrics as a stable sort gives them"));
}

#[test]
fn functions() {
    let Some(dir) = files("YOLOv5 functions") else { return };
    functions_of(&dir);
}

fn functions_of(dir: &Path) {
    let all = shared::json(&dir.join("detection_functions.json"));
    let ap = &all["compute_ap"];
    assert!(
        (average_precision(&numbers(&ap["recall"]), &numbers(&ap["precision"])) - ap["ap"].as_f64().unwrap()).abs()
            < 1e-12
    );
    let smooth = &all["smooth"];
    let found = box_smooth(&numbers(&smooth["input"]), smooth["fraction"].as_f64().unwrap());
    let expected = numbers(&smooth["output"]);
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
    let iou = &all["box_iou"];
    let boxes = |key: &str| iou[key].as_array().unwrap().iter().map(|b| xyxy(&numbers(b))).collect::<Vec<_>>();
    let mut compared = 1 + expected.len();
    for (a, row) in boxes("a").iter().zip(iou["iou"].as_array().unwrap()) {
        for (b, expected) in boxes("b").iter().zip(numbers(row)) {
            assert_eq!(f64::from(a.iou(*b)), expected);
            compared += 1;
        }
    }
    shared::say(&format!("YOLOv5 functions: 3 cases, {compared} values"));
}
