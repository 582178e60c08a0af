//! A run by a bundle is the run by the loose files, and nothing runs by a bundle that is not whole and not ours.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use std::path::{Path, PathBuf};

use caf_bundle::{Draft, Existing, SecretKey, Thresholds};
use caf_contract::IrRange;
use caf_engine::{Engine, EngineOptions};
use caf_export::bundle::{Contents, draft};
use caf_export::probes::{computed, generated};
use caf_geometry::Size;
use common::report::{json, lines};
use common::{caf_run, fails, leftovers, said, save_gray16, save_rgb, succeeds, text};
use gstreamer::glib;
use serde_json::Value;

const WIDTH: usize = 50;
const HEIGHT: usize = 38;
const THRESHOLDS: Thresholds = Thresholds { score: 0.0, iou: 0.7, max_detections: 300, multi_label: true };

/// A folder with the weights of a network that was trained on a window, its model, a clip, a rig, and a bundle of all.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let weights = common::fusion_weights(place.folder.path());
        let mut windowed = caf_weights::load_safetensors(&weights).unwrap();
        windowed.set_metadata("ir_range", r#"{"window":{"min":7000.0,"max":30000.0}}"#);
        caf_weights::save_safetensors(&windowed, &weights).unwrap();
        let fusion = caf_export::model::FusionFile::open(&weights).unwrap();
        let task = common::task_weights(place.folder.path(), &["person", "car"]);
        let tasks = [caf_export::model::TaskFile::open(&task, None).unwrap()];
        let parts = caf_export::model::Parts::Pipeline(&fusion, &tasks);
        let model = caf_export::model::Model::new(parts, &caf_export::model::Settings::default()).unwrap();
        std::fs::write(place.at("m.onnx"), model.to_onnx(true).unwrap()).unwrap();
        for i in 0..4 {
            save_gray16(&place.at(&format!("ir/{i}.png")), WIDTH, HEIGHT, i);
            save_rgb(&place.at(&format!("vi/{i}.png")), WIDTH, HEIGHT, i + 9);
        }
        let camera = caf_rig::Camera {
            width_px: WIDTH as u32,
            height_px: HEIGHT as u32,
            fx_px: 50.0,
            fy_px: 50.0,
            cx_px: 25.0,
            cy_px: 19.0,
        };
        let mut rig = caf_rig::Rig::aligned(camera);
        rig.vis_from_ir.translation_m = [0.8, 0.1, 0.0];
        rig.latency_ms.infrared = 40.0;
        rig.write(&place.at("rig.toml")).unwrap();
        std::fs::write(place.at("secret.key"), "07".repeat(32)).unwrap();
        std::fs::write(place.at("public.key"), place.key().public().to_string()).unwrap();
        std::fs::write(place.at("theirs.key"), "08".repeat(32)).unwrap();
        let theirs = SecretKey::read(&place.at("theirs.key")).unwrap().public();
        std::fs::write(place.at("other.key"), theirs.to_string()).unwrap();
        place.draft(true).write(&place.at("b"), Some(&place.key()), Existing::Refuse).unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self) -> SecretKey {
        SecretKey::read(&self.at("secret.key")).unwrap()
    }

    fn draft(&self, with_rig: bool) -> Draft {
        let onnx = std::fs::read(self.at("m.onnx")).unwrap();
        let mut engine = Engine::from_bytes("m", &onnx, EngineOptions::CPU).unwrap();
        let contract = engine.contract().unwrap();
        let inputs = generated(&contract, Size::new(WIDTH, HEIGHT), 1, 0).unwrap();
        let probes = computed(&mut engine, &contract, inputs, "the model itself".to_owned()).unwrap();
        let rig = with_rig.then(|| (std::fs::read(self.at("rig.toml")).unwrap(), Some(20.0)));
        let (thresholds, external_data) = (THRESHOLDS, vec![]);
        draft(Contents { onnx, external_data, contract, loss: None, probes, thresholds, rig, beta: None, run: None })
            .unwrap()
    }

    /// A call of the program with that model or bundle on the images, writing to `out`.
    fn call(&self, command: &str, by: &[&str], out: &str, more: &[&str]) -> Vec<String> {
        let [ir, vi] = ["ir", "vi"].map(|name| text(&self.at(name)).to_owned());
        let mut call = vec![command.to_owned(), "--ir".to_owned(), ir, "--vi".to_owned(), vi];
        let file = |option: &str, end: &str| [option.to_owned(), text(&self.at(&format!("{out}{end}"))).to_owned()];
        match command {
            "fuse" => {
                call.extend(file("--out", ""));
                call.extend([file("--detections", ".jsonl"), file("--json", ".json")].concat());
            }
            "live" => {
                call.extend(["--every-frame".to_owned(), "--fps".to_owned(), "25".to_owned()]);
                call.extend([file("--jsonl", ".jsonl"), file("--summary", ".json")].concat());
            }
            _ => {
                call = [vec![command.to_owned(), "--runs".to_owned(), "1".to_owned()], file("--json", ".json").into()]
                    .concat()
            }
        }
        let path = |word: &str| if self.at(word).exists() { text(&self.at(word)).to_owned() } else { word.to_owned() };
        call.extend(by.iter().chain(more).map(|word| path(word)));
        call
    }

    fn run(&self, command: &str, by: &[&str], out: &str, more: &[&str]) -> String {
        let call = self.call(command, by, out, more);
        let call: Vec<&str> = call.iter().map(String::as_str).collect();
        let output = caf_run(&call);
        assert_eq!(output.status.code(), Some(0), "{call:?}\n{}", said(&output));
        said(&output)
    }

    fn refused(&self, code: i32, words: &[&str], command: &str, by: &[&str]) {
        let call = self.call(command, by, "refused", &[]);
        fails(code, words, &call.iter().map(String::as_str).collect::<Vec<_>>());
        let left = |name: &str| !self.at(name).exists();
        assert!(left("refused") && left("refused.jsonl") && left("refused.json"), "something was written");
    }
}

/// What was found in every frame, without times of the clock.
fn found(path: &Path) -> Vec<Value> {
    lines(path).into_iter().map(|line| line["detections"].clone()).collect()
}

const SIGNED: [&str; 4] = ["--bundle", "b", "--public-key", "public.key"];
const LOOSE: [&str; 7] = ["--model", "m.onnx", "--conf", "0", "--iou", "0.7", "--multi-label"];

#[test]
fn folders_are_fused_by_a_bundle_as_by_its_model() {
    let place = Place::new();
    place.run("fuse", &LOOSE, "loose", &[]);
    let said = place.run("fuse", &SIGNED, "bundled", &[]);
    assert!(said.contains("signed by") && said.contains("taken as aligned"), "{said}");
    for i in 0..4 {
        let image = |folder: &str| std::fs::read(place.at(&format!("{folder}/{i}.png"))).unwrap();
        assert_eq!(image("loose"), image("bundled"));
    }
    assert_eq!(lines(&place.at("loose.jsonl")), lines(&place.at("bundled.jsonl")));
    assert!(
        found(&place.at("loose.jsonl")).iter().any(|list| !list.as_array().unwrap().is_empty()),
        "nothing to compare"
    );
    let bundle = &json(&place.at("bundled.json"))["bundle"];
    assert_eq!((&bundle["is_trusted"], &bundle["overridden"]), (&Value::Bool(true), &serde_json::json!([])));
    assert!(json(&place.at("loose.json")).get("bundle").is_none());
    // One resumes what the other began: it is the same model.
    std::fs::remove_file(place.at("loose/2.png")).unwrap();
    let call = place.call("fuse", &["--bundle", "b"], "loose", &[]);
    let call: Vec<&str> =
        call.iter().map(String::as_str).filter(|word| !word.ends_with(".jsonl") && *word != "--detections").collect();
    succeeds(&[&call[..], &["--resume"]].concat());
    assert!(place.at("loose/2.png").exists());
}

#[test]
fn a_live_run_by_a_bundle_is_that_by_its_files() {
    let place = Place::new();
    let rig = ["--rig", "rig.toml", "--rig-distance-m", "20"];
    place.run("live", &LOOSE, "loose", &rig);
    place.run("live", &SIGNED, "bundled", &[]);
    assert_eq!(found(&place.at("loose.jsonl")), found(&place.at("bundled.jsonl")));
    // The rig matters here, and so does the distance.
    place.run("live", &LOOSE, "unaligned", &[]);
    assert_ne!(found(&place.at("loose.jsonl")), found(&place.at("unaligned.jsonl")));
    let said = place.run("live", &SIGNED, "near", &["--rig-distance-m", "5", "--conf", "0.0001", "--iou", "0.7"]);
    for line in ["--rig-distance-m 5 in place of 20", "--conf 0.0001 in place of 0"] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert!(!said.contains("--iou"), "it says the same: {said}");
    assert_ne!(found(&place.at("near.jsonl")), found(&place.at("bundled.jsonl")));
    let overridden = &json(&place.at("near.json"))["bundle"]["overridden"];
    assert_eq!(*overridden, serde_json::json!(["--conf 0.0001 in place of 0", "--rig-distance-m 5 in place of 20"]));
    // The rig's latency of one frame is the bundle's word too: the first infrared frame has no partner.
    assert_eq!(["bundled", "unaligned"].map(|name| lines(&place.at(&format!("{name}.jsonl"))).len()), [3, 4]);
}

#[test]
fn a_bundle_is_looked_over() {
    let place = Place::new();
    place.run("check", &SIGNED, "bundled", &["--size", "64x48"]);
    let report = json(&place.at("bundled.json"));
    assert!(report["model"].as_str().unwrap().ends_with("b/model.fp32.onnx"), "{report}");
    assert_eq!(report["bundle"]["signer"], place.key().public().to_string());
}

#[test]
fn a_bundle_that_is_not_whole_or_not_ours_runs_nowhere() {
    let place = Place::new();
    for command in ["fuse", "live", "check"] {
        let bundle = ["--bundle", "b"];
        place.refused(1, &["signed by another key"], command, &["--bundle", "b", "--public-key", "other.key"]);
        place.draft(true).write(&place.at("b"), None, Existing::Replace).unwrap();
        place.refused(1, &["not signed"], command, &SIGNED);
        let model = place.at("b/model.fp32.onnx");
        let whole = std::fs::read(&model).unwrap();
        let mut bytes = whole.clone();
        bytes[whole.len() / 2] ^= 1;
        std::fs::write(&model, bytes).unwrap();
        place.refused(1, &["model.fp32.onnx", "expected SHA-256"], command, &bundle);
        std::fs::remove_file(&model).unwrap();
        place.refused(1, &["`model.fp32.onnx`: missing"], command, &bundle);
        std::os::unix::fs::symlink(place.at("m.onnx"), &model).unwrap();
        place.refused(1, &["`model.fp32.onnx`: expected a file, found a link"], command, &bundle);
        std::fs::remove_file(&model).unwrap();
        std::fs::write(&model, whole).unwrap();
        std::fs::write(place.at("b/extra"), "").unwrap();
        place.refused(1, &["`extra`: not listed"], command, &bundle);
        std::fs::remove_file(place.at("b/extra")).unwrap();
        // Whole, and made of what does not belong together.
        let mut wrong = place.draft(true);
        wrong.infrared_range = IrRange::Full;
        wrong.write(&place.at("b"), None, Existing::Replace).unwrap();
        place.refused(1, &["infrared range: expected full, found 7000..30000"], command, &bundle);
        place.draft(true).write(&place.at("b"), Some(&place.key()), Existing::Replace).unwrap();
    }
    assert!(leftovers(place.folder.path()).is_empty());
}

#[test]
fn calls_that_contradict_a_bundle_are_wrong() {
    let place = Place::new();
    let bundle = ["--bundle", "b"];
    let with = |more: &[&'static str]| [&bundle[..], more].concat();
    for command in ["fuse", "live", "check"] {
        place.refused(2, &["--model", "--bundle"], command, &with(&["--model", "m.onnx"]));
        place.refused(2, &["<--model <FILE>|--bundle <DIR>>", "required"], command, &[]);
        place.refused(
            2,
            &["--public-key", "a --bundle"],
            command,
            &["--model", "m.onnx", "--public-key", "public.key"],
        );
        place.refused(2, &["--bundle", "absent"], command, &["--bundle", "absent"]);
        place.refused(2, &["has no manifest.toml"], command, &["--bundle", "vi"]);
        place.refused(2, &["rig.toml", "an ed25519 public key"], command, &with(&["--public-key", "rig.toml"]));
    }
    place.refused(2, &["--rig", "--bundle"], "live", &with(&["--rig", "rig.toml"]));
    place.refused(2, &["--rig-distance-m", "neither"], "live", &["--model", "m.onnx", "--rig-distance-m", "9"]);
    place.draft(false).write(&place.at("norig"), None, Existing::Refuse).unwrap();
    place.refused(2, &["the bundle has no rig"], "live", &["--bundle", "norig", "--rig-distance-m", "9"]);
    // What would be put into the bundle would make it none.
    let inside = place.at("b/report.json");
    fails(2, &["--json", "--bundle"], &["check", "--bundle", text(&place.at("b")), "--json", text(&inside)]);
    assert!(!inside.exists());
}

/// The library that GStreamer's inference elements read the file with, called as they call it.
#[test]
fn the_modelinfo_is_one_that_glib_reads() {
    let place = Place::new();
    let file = glib::KeyFile::new();
    file.set_list_separator(glib::Char::try_from(',').unwrap());
    file.load_from_file(place.at("b/model.fp32.onnx.modelinfo"), glib::KeyFileFlags::NONE).unwrap();
    let mut groups: Vec<String> = file.groups().iter().map(|group| group.to_string()).collect();
    groups.sort();
    assert_eq!(groups, ["fused", "ir", "modelinfo", "predictions", "vi"]);
    assert_eq!(file.string("modelinfo", "version").unwrap(), "1.0");
    assert_eq!(file.integer_list("vi", "dims").unwrap(), [1, -1, -1, 3]);
    assert_eq!(file.integer_list("predictions", "dims").unwrap(), [1, 252, 7]);
    assert_eq!(
        (file.string("ir", "type").unwrap(), file.string("ir", "dir").unwrap()),
        ("uint8".into(), "input".into())
    );
    assert_eq!(file.string("predictions", "type").unwrap(), "float32");
    assert_eq!(file.string("vi", "ranges").unwrap(), "0.0,255.0;0.0,255.0;0.0,255.0");
}
