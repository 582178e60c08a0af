//! Confusion matrix and conventions of segmentation on every set of maps in `segmentation_expected.json`.

use caf_eval::segmentation::{Column, ConfusionMatrix, Convention, IGNORED_LABEL, Report, percent};
use caf_golden::{Tally, count, find, items, json, numbers};
use safetensors::SafeTensors;
use serde_json::Value;

/// Quotients of exact counts in float64, and means of a few of them (golden README).
const TOLERANCE: f64 = 1e-12;

/// The images of one map, as bytes.
fn maps<'a>(file: &'a SafeTensors<'_>, name: &str) -> Vec<&'a [u8]> {
    let view = file.tensor(name).unwrap();
    let [images, height, width] = *view.shape() else { panic!("{name}: {:?}", view.shape()) };
    assert_eq!(view.data().len(), images * height * width);
    view.data().chunks_exact(height * width).collect()
}

fn close(tally: &mut Tally, what: &str, found: Option<f64>, expected: &Value) {
    assert_eq!(found.is_some(), !expected.is_null(), "{what}: {found:?}, expected {expected}");
    let list = |v: Option<f64>| v.map_or(vec![], |v| vec![v]);
    tally.close(what, &list(found), &list(expected.as_f64()), TOLERANCE);
}

fn column(tally: &mut Tally, what: &str, found: &Column, classes: &Value, mean: &Value) {
    assert_eq!(found.classes.len(), items(classes).len(), "{what}");
    for (found, expected) in found.classes.iter().zip(items(classes)) {
        close(tally, what, *found, expected);
    }
    close(tally, &format!("mean {what}"), found.mean, mean);
}

#[test]
fn conventions() {
    let test = "segmentation";
    let Some(dir) = find(test, "golden/evaluation") else { return };
    let bytes = std::fs::read(dir.join("segmentation_maps.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tally = Tally::new(test);
    for (name, expected) in json(&dir.join("segmentation_expected.json")).as_object().unwrap() {
        // Beside the sets of maps stands the list of class names.
        if !expected.is_object() {
            continue;
        }
        tally.case(name);
        let rows: Vec<Vec<f64>> =
            items(&expected["confusion_matrix_rows_label_columns_prediction"]).iter().map(numbers).collect();
        let mut matrix = ConfusionMatrix::new(rows.len(), Some(IGNORED_LABEL));
        let (labels, predictions) = (maps(&file, &format!("{name}.label")), maps(&file, &format!("{name}.prediction")));
        assert_eq!((labels.len(), predictions.len()), (count(&expected["images"]), labels.len()));
        for (label, prediction) in labels.into_iter().zip(predictions) {
            matrix.accumulate(label, prediction).unwrap();
        }
        for (found, expected) in matrix.rows().zip(&rows) {
            let found: Vec<f64> = found.iter().map(|&n| n as f64).collect();
            tally.equal("confusion matrix", &found, expected);
        }
        tally.equal("valid pixels", &[matrix.total() as usize], &[count(&expected["valid_pixels"])]);

        let report = |name: &str| -> Report { Convention::named(name).unwrap().report(&matrix) };
        let (found, of) = (report("mmseg"), &expected["mmseg"]);
        column(&mut tally, "mmseg IoU", &found.iou, &of["iou"], &of["mIoU_nanmean"]);
        column(&mut tally, "mmseg Acc", &found.accuracy, &of["acc"], &of["mAcc_nanmean"]);
        close(&mut tally, "mmseg aAcc", found.all_accuracy, &of["aAcc"]);
        let printed = [found.miou(), found.macc()].map(|v| percent(v).parse::<f64>().unwrap());
        tally.equal("mmseg printed", &printed, &["printed_mIoU", "printed_mAcc"].map(|k| of[k].as_f64().unwrap()));
        let (found, of) = (report("mmseg-absent-as-zero"), &of["nan_to_num_0"]);
        close(&mut tally, "mmseg mIoU, absent as 0", found.miou(), &of["mIoU"]);
        close(&mut tally, "mmseg mAcc, absent as 0", found.macc(), &of["mAcc"]);

        let (found, of) = (report("mfnet"), &expected["rtfnet"]);
        column(&mut tally, "mfnet IoU", &found.iou, &of["iou"], &of["mean_iou"]);
        column(&mut tally, "mfnet recall", &found.accuracy, &of["recall"], &of["mean_recall"]);
        let precision = found.precision.unwrap().classes;
        for (found, expected) in precision.iter().zip(items(&of["precision"])) {
            close(&mut tally, "mfnet precision", *found, expected);
        }
        let found = report("mfnet-absent-as-zero");
        close(&mut tally, "mfnet mean IoU, absent as 0", found.miou(), &of["nan_to_num_mean_iou"]);
        close(&mut tally, "mfnet mean recall, absent as 0", found.macc(), &of["nan_to_num_mean_recall"]);

        let (found, of) = (report("mfnet-first-port"), &expected["mfnet_first_pytorch_port"]);
        column(&mut tally, "first port IoU", &found.iou, &of["iou"], &of["mean_iou"]);
        column(&mut tally, "first port accuracy", &found.accuracy, &of["acc"], &of["mean_acc"]);
        close(&mut tally, "first port, all pixels", found.all_accuracy, &of["overall_acc"]);
    }
    tally.finish();
}
