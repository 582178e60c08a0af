//! The command line: what it writes, and what it refuses without writing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the file is tests throughout")]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use caf_image::Plane;
use caf_rig::Geometry;
use common::{Scene, VI, corner_error_px, save, truth};

fn caf_calib(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_caf-calib")).args(arguments).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A recording; `change` may replace images.
fn record(root: &Path, pairs: u64, change: impl Fn(u64, &mut Plane, &mut Plane)) {
    for half in ["ir", "vi"] {
        std::fs::create_dir_all(root.join(half)).unwrap();
    }
    for i in 0..pairs {
        let (mut ir, mut vi) = (Scene::new(i).infrared(), Scene::new(i).visible(&truth()));
        change(i, &mut ir, &mut vi);
        save(&root.join(format!("ir/p{i}.png")), &ir);
        save(&root.join(format!("vi/p{i}.png")), &vi);
    }
}

fn calibrate(root: &Path, more: &[&str]) -> (Option<i32>, String) {
    let (ir, vi, out) = (root.join("ir"), root.join("vi"), root.join("out"));
    let call = ["rig", "--ir", text(&ir), "--vi", text(&vi), "--out", text(&out), "--ir-range", "full"];
    let output = caf_calib(&[&call[..], more].concat());
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_recording_becomes_a_rig_with_pictures_and_a_page() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), 5, |_, _, _| {});
    let json = folder.path().join("report.json");
    let (code, said) = calibrate(folder.path(), &["--json", text(&json)]);
    assert_eq!(code, Some(0), "{said}");
    let out = folder.path().join("out");
    let Geometry::Plane(rig) = Geometry::read(&out.join("rig.toml")).unwrap() else { panic!("a homography") };
    let error = corner_error_px(&rig.vis_from_ir, &truth());
    assert!(error < 0.8, "{error}");
    assert_eq!((rig.visible, rig.measured.unwrap().pairs), (VI, 5));
    assert!(Geometry::Plane(Box::new(rig_again(&out))).table(None).unwrap().coverage() > 0.6);
    assert!(out.join("overlays/p0-before.png").is_file() && out.join("overlays/p0-after.png").is_file());
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("standard deviation, lower right corner") && page.contains("data:image/png"));
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(report["finding"]["used"].as_array().unwrap().len(), 5);
    // A rig that is there is not replaced unasked.
    let (code, said) = calibrate(folder.path(), &[]);
    assert!(code == Some(2) && said.contains("--overwrite"), "{said}");
    // When it is, nothing of it stays: neither pictures of pairs that are not used any more, nor what a stopped run left.
    std::fs::write(out.join("overlays/old-after.png"), "of an earlier calibration").unwrap();
    std::fs::create_dir(out.join("overlays.part")).unwrap();
    let (code, said) = calibrate(folder.path(), &["--overwrite"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.join("overlays/p0-after.png").is_file() && out.join("rig.toml").is_file());
    assert!(!out.join("overlays/old-after.png").exists() && !out.join("overlays.part").exists());
    // A rig beside the pictures of another must never be seen: where the new pictures cannot take their place, there is no rig.
    std::fs::remove_dir_all(out.join("overlays")).unwrap();
    std::fs::write(out.join("overlays"), "in the way").unwrap();
    let (code, said) = calibrate(folder.path(), &["--overwrite"]);
    assert!(code == Some(1) && said.contains("overlays: cannot be replaced"), "{said}");
    assert!(!out.join("rig.toml").exists());
}

fn rig_again(out: &Path) -> caf_rig::PlaneRig {
    caf_rig::PlaneRig::read(&out.join("rig.toml")).unwrap()
}

/// A recording that gives no rig says why and what to record, and leaves nothing.
fn refused(pairs: u64, words: &[&str], change: impl Fn(u64, &mut Plane, &mut Plane)) {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), pairs, change);
    let (code, said) = calibrate(folder.path(), &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    assert!(!folder.path().join("out").exists());
}

#[test]
fn recordings_without_a_rig_are_refused_with_what_to_record() {
    let flat = |image: &mut Plane, value: f32| image.data_mut().fill(value);
    refused(4, &["0 usable pairs", "p0: the infrared image is blank", "record ten"], |_, ir, _| flat(ir, 0.4));
    refused(4, &["0 usable pairs", "p3: the visible image is saturated", "exposure", "record ten"], |_, _, vi| {
        vi.data_mut().iter_mut().for_each(|v| *v = if *v > 0.25 { 1.0 } else { *v });
    });
    refused(4, &["the infrared camera shows the same image in all 4 pairs", "frozen", "record ten"], |_, ir, _| {
        *ir = Scene::new(9).infrared();
    });
    refused(4, &["all 4 pairs", "frozen"], |_, ir, vi| {
        (*ir, *vi) = (Scene::new(9).infrared(), Scene::new(9).visible(&truth()));
    });
    refused(3, &["3 usable pairs: expected at least 4", "record ten"], |_, _, _| {});
    refused(0, &["0 usable pairs: expected at least 4", "record ten"], |_, _, _| {});
    refused(4, &["expected 256x192 pixels", "found 200x150", "same settings"], |i, ir, _| {
        if i == 2 {
            *ir = Plane::filled(caf_geometry::Size::new(200, 150), 0.5).unwrap();
        }
    });
    refused(4, &["no map holds", "no rig was written", "both cameras see the same scene"], |i, _, vi| {
        *vi = Scene::new(i + 100).visible(&truth());
    });
}

#[test]
fn wrong_calls_are_told_apart_from_bad_recordings() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), 1, |_, _, _| {});
    for (more, word) in [
        (&["--scale", "0"][..], "0.05 to 20"),
        (&["--least-pairs", "9", "--most-pairs", "5"], "--least-pairs"),
        (&["--ir-range", "99,1"], "ir-range"),
    ] {
        let (code, said) = calibrate(folder.path(), more);
        assert!(code == Some(2) && said.contains(word), "{word}: {said}");
    }
    std::fs::remove_file(folder.path().join("vi/p0.png")).unwrap();
    let (code, said) = calibrate(folder.path(), &[]);
    assert!(code == Some(1) && said.contains("p0") && said.contains("other image of the pair"), "{said}");
    std::fs::remove_dir(folder.path().join("vi")).unwrap();
    let (code, said) = calibrate(folder.path(), &[]);
    assert!(code == Some(2) && said.contains("--vi"), "{said}");
}

/// Exit code, all that was said, and the report.
fn watched(root: &Path, more: &[&str]) -> (Option<i32>, String, serde_json::Value) {
    let (ir, vi, rig, json) = (root.join("ir"), root.join("vi"), root.join("rig.toml"), root.join("drift.json"));
    let call = [
        "drift",
        "--rig",
        text(&rig),
        "--ir",
        text(&ir),
        "--vi",
        text(&vi),
        "--ir-range",
        "full",
        "--json",
        text(&json),
    ];
    // The rig is the truth itself, which its file cannot say.
    let output = caf_calib(&[&call[..], &["--rig-px", "0"], more].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let report = std::fs::read(&json).map_or(serde_json::Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
    (output.status.code(), said, report)
}

#[test]
fn drift_tells_what_holds_what_moved_and_what_cannot_be_said_apart() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let rig = caf_rig::PlaneRig {
        visible: VI,
        infrared: common::IR,
        vis_from_ir: truth(),
        latency_ms: caf_rig::Latency::default(),
        measured: None,
    };
    rig.write(&root.join("rig.toml")).unwrap();
    record(root, 10, |_, _, _| {});
    let (code, said, report) = watched(root, &["--window", "4"]);
    assert!(code == Some(0) && said.contains("the rig holds on 10 pairs"), "{said}");
    assert!(report["verdict"] == "holds" && report["drift"]["stretches"].as_array().unwrap().len() == 2, "{report}");
    record(root, 10, |i, ir, _| {
        if i >= 5 {
            *ir = Scene::new(i).infrared_after([6.0, 0.0], 0.0);
        }
    });
    let (code, said, report) = watched(root, &["--window", "4"]);
    assert!(
        code == Some(1) && said.contains("the rig has moved since p5 (pair 6;") && said.contains("calibrate anew"),
        "{said}"
    );
    assert_eq!((&report["verdict"], &report["drift"]["since"]["pair"]["index"]), (&"moved".into(), &5.into()));
    let right_px = report["drift"]["offset"]["shift_px"][0].as_f64().unwrap();
    assert!((right_px - 6.0).abs() < 0.7, "{report}");
    record(root, 10, |_, ir, _| *ir = Scene::new(9).infrared());
    let (code, said, report) = watched(root, &["--window", "4"]);
    assert!(code == Some(1) && said.contains("the infrared camera shows the same image in all 10 pairs"), "{said}");
    assert!(report["verdict"] == "no_answer" && report["reason"].as_str().unwrap().contains("frozen"), "{report}");
    record(root, 10, |i, ir, _| {
        if i > 3 {
            ir.data_mut().fill(0.5)
        }
    });
    let (code, said, report) = watched(root, &["--window", "4"]);
    assert!(code == Some(1) && said.contains("4 usable pairs: expected at least 8"), "{said}");
    assert_eq!(report["verdict"], "no_answer");
    assert!(!said.contains("holds"), "{said}");
    // Wrong calls.
    record(root, 10, |_, ir, _| *ir = Plane::filled(VI, 0.5).unwrap());
    let (code, said, _) = watched(root, &[]);
    assert!(
        code == Some(2) && said.contains("--rig: expected infrared images of 256x192 pixels, found 320x256"),
        "{said}"
    );
    for (more, word) in [(["--window", "3"], "--window"), (["--false-alarm", "0"], "0.001 to 0.5, found `0`")] {
        let (code, said, _) = watched(root, &more);
        assert!(code == Some(2) && said.contains(word), "{said}");
    }
    let (ir, vi, rig) = (root.join("ir"), root.join("vi"), root.join("rig.toml"));
    let output = caf_calib(&["drift", "--rig", text(&rig), "--ir", text(&ir), "--vi", text(&vi)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("expected --rig-px"), "{said}");
}

#[test]
fn known_maps_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), 5, |_, _, vi| *vi = Plane::new(common::IR, resample(vi)).unwrap());
    let (ir, vi) = (folder.path().join("ir"), folder.path().join("vi"));
    let call = |pairs| {
        ["evaluate", "--ir", text(&ir), "--vi", text(&vi), "--pairs", pairs, "--size", "192x144", "--rigs", "1"]
    };
    let (code, said) = evaluated(&call("4"));
    assert!(code == Some(0) && said.starts_with("1 rigs of 4 pairs, 0 not found: "), "{said}");
    let (code, said) = evaluated(&call("6"));
    assert!(code == Some(2) && said.contains("expected at most 5, the pairs there are, found 6"), "{said}");
    // Where none is found, no figure is told.
    record(folder.path(), 5, |i, _, vi| {
        *vi = Plane::new(common::IR, resample(&Scene::new(i + 100).visible(&truth()))).unwrap();
    });
    let (code, said) = evaluated(&call("4"));
    assert!(code == Some(0) && said.contains("none found") && said.contains("no map holds"), "{said}");
    assert!(!said.contains("NaN"), "{said}");
}

/// Exit code and all that was printed.
fn evaluated(call: &[&str]) -> (Option<i32>, String) {
    let output = caf_calib(call);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// The upper left part of a visible image, at the infrared size.
fn resample(vi: &Plane) -> Vec<f32> {
    let rows = vi.data().chunks_exact(vi.width()).take(common::IR.height);
    rows.flat_map(|row| row.iter().copied().take(common::IR.width)).collect()
}
