//! One detector on the same pairs, measured on both sides with the programs: `caf-search fuse` + `caf-search eval`, and the exported
//! model run by `caf-run fuse` + `caf-eval detection`. AP@.5 may differ by at most 0.05 points.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop at the line that fails")]

use caf_console::{Silent, StopFlag};
use caf_geometry::Size;
use caf_golden::{Tally, find, json};
use caf_scene::{DatasetSpec, write_dataset};
use caf_search::fusion::train;
use caf_tests::programs::call;
use caf_tests::scenes::Scenes;
use serde_json::Value;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What the detector looks at: that of its training.
const INPUT: &str = "256x192";
/// Its own size; larger, of another shape and odd; smaller; upright.
const SIZES: [Size; 4] = [Size::new(256, 192), Size::new(331, 237), Size::new(208, 156), Size::new(190, 250)];
/// Pairs of each size.
const PAIRS: usize = 9;
/// 0.05 of a hundredth.
const GAP: f64 = 5e-4;
/// Below this AP@.5 the detector finds next to nothing, and the gap says nothing.
const LEAST_AP: f64 = 0.1;

/// Rendered pairs of all sizes in one folder.
fn mixed_pairs(root: &Path) -> PathBuf {
    let all = root.join("all");
    for (seed, size) in (77..).zip(SIZES) {
        let one = root.join(size.to_string());
        let spec = DatasetSpec {
            count: PAIRS,
            seed,
            size,
            conditions: vec![],
            frames_per_scene: 1,
            val_share: 0.0,
            replace: false,
        };
        write_dataset(&one, &spec, &|_| {}).unwrap();
        for part in ["ir", "vi", "labels", "ignore"] {
            fs::create_dir_all(all.join(part)).unwrap();
            for file in fs::read_dir(one.join(part)).unwrap() {
                let file = file.unwrap();
                let name = format!("{size}_{}", file.file_name().to_str().unwrap());
                fs::copy(file.path(), all.join(part).join(name)).unwrap();
            }
        }
        fs::copy(one.join("classes.txt"), all.join("classes.txt")).unwrap();
    }
    all
}

/// A narrow network after a short training: it shows both images roughly.
fn trained() -> (Scenes, PathBuf) {
    let scenes = Scenes::new(41);
    let beta = scenes.out("beta.toml");
    fs::write(&beta, "[weights]\n\"l1.ir\" = 1.0\n\"l1.vi\" = 1.0\n").unwrap();
    let mut config = scenes.fusion(beta, 40);
    config.validation.every = 40;
    let out = scenes.out("trained");
    train(&config, &out, &Silent, &StopFlag::default()).unwrap();
    (scenes, out.join("fusion.safetensors"))
}

fn done<S: AsRef<OsStr>>(program: &str, arguments: &[S]) {
    let said = call(program, arguments);
    assert_eq!(said.code, Some(0), "{}: {}", said.what, said.text);
}

/// AP@.5 of every class with labels and their mean, in the order of the classes.
fn on_the_training_side(work: &Path, data: &Path, fusion: &Path, detector: &Path) -> Vec<f64> {
    let (fused, report) = (work.join("fused"), work.join("eval.json"));
    let paths: [&[&OsStr]; 2] = [
        &["fuse".as_ref(), "--fusion".as_ref(), fusion.as_ref(), "--out".as_ref(), fused.as_ref()],
        &["eval".as_ref(), "--images".as_ref(), fused.as_ref(), "--task".as_ref(), detector.as_ref()],
    ];
    let common: [&OsStr; 4] = ["--data".as_ref(), data.as_ref(), "--device".as_ref(), "cpu".as_ref()];
    done("caf-search", &[paths[0], &common].concat());
    let more: [&OsStr; 5] =
        ["--size".as_ref(), INPUT.as_ref(), "--no-fusion".as_ref(), "--json".as_ref(), report.as_ref()];
    done("caf-search", &[paths[1], &common, &more].concat());
    let found = &json(&report)["detection"];
    let classes = found["classes"].as_array().unwrap().iter().filter_map(|class| class["ap50"].as_f64());
    classes.chain([found["map50"].as_f64().unwrap()]).collect()
}

fn on_the_vehicle(work: &Path, data: &Path, fusion: &Path, detector: &Path) -> Vec<f64> {
    let at = |name: &str| work.join(name).to_str().unwrap().to_owned();
    let of = |name: &str| data.join(name).to_str().unwrap().to_owned();
    let [fusion, detector] = [fusion, detector].map(|path| path.to_str().unwrap());
    let model = at("model.onnx");
    done("caf-export", &["onnx", "--fusion", fusion, "--task", detector, "--task-size", INPUT, "-o", &model]);
    let [ir, vi, out, lines] = [of("ir"), of("vi"), at("vehicle"), at("lines.jsonl")];
    let fuse = ["fuse", "--model", &model, "--ir", &ir, "--vi", &vi, "--out", &out, "--detections", &lines];
    let settings = ["--conf", "0.001", "--iou", "0.6", "--multi-label", "--provider", "cpu"];
    done("caf-run", &[&fuse[..], &settings].concat());
    let predictions = at("predictions");
    fs::create_dir(&predictions).unwrap();
    for line in fs::read_to_string(&lines).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        fs::write(Path::new(&predictions).join(format!("{}.txt", line["name"].as_str().unwrap())), rows(&line))
            .unwrap();
    }
    let [labels, ignore, classes, report] = [of("labels"), of("ignore"), of("classes.txt"), at("ap.json")];
    let detection = ["detection", "--labels", &labels, "--predictions", &predictions, "--images", &vi];
    done("caf-eval", &[&detection[..], &["--ignore", &ignore, "--classes", &classes, "--json", &report]].concat());
    let found = &json(Path::new(&report))["yolov5"];
    let classes = found["classes"].as_array().unwrap().iter().map(|class| class["ap"][0].as_f64().unwrap());
    classes.chain([found["map50"].as_f64().unwrap()]).collect()
}

/// One line of `caf-run fuse --detections` as a file of predictions: `class cx cy w h confidence`, relative to the image.
fn rows(line: &Value) -> String {
    let size = ["width_px", "height_px"].map(|side| line[side].as_f64().unwrap());
    let mut text = String::new();
    for detection in line["detections"].as_array().unwrap() {
        let corner = |i: usize| detection["box"][i].as_f64().unwrap() / size[i % 2];
        let [x1, y1, x2, y2] = [0, 1, 2, 3].map(corner);
        let (class, score) = (&detection["class"], &detection["score"]);
        writeln!(text, "{class} {} {} {} {} {score}", (x1 + x2) / 2.0, (y1 + y2) / 2.0, x2 - x1, y2 - y1).unwrap();
    }
    text
}

#[test]
fn average_precision_is_the_same_in_evaluation_and_on_the_vehicle() {
    let test = "average_precision_is_the_same_in_evaluation_and_on_the_vehicle";
    let dir = tempfile::tempdir().unwrap();
    let data = mixed_pairs(dir.path());
    let detector = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/weights/yolov5n-scenes.safetensors");
    let (_scenes, narrow) = trained();
    let official = find(test, "golden/caf/det_final.pth");
    let mut tally = Tally::new(test);
    for (name, fusion) in [("narrow", Some(narrow)), ("official", official)] {
        let Some(fusion) = fusion else { continue };
        tally.case(name);
        let work = dir.path().join(name);
        fs::create_dir(&work).unwrap();
        let training = on_the_training_side(&work, &data, &fusion, &detector);
        let vehicle = on_the_vehicle(&work, &data, &fusion, &detector);
        let [one, other] = [&training, &vehicle].map(|aps| *aps.last().unwrap());
        println!("{name}: AP@.5 {training:.5?} in evaluation, {vehicle:.5?} on the vehicle");
        assert!(one > LEAST_AP, "{name}: AP@.5 {one}");
        tally.close("AP@.5, mean over the classes", &[one], &[other], GAP);
    }
    tally.finish();
}
