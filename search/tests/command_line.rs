//! The program as a caller meets it: exit codes, one error line, nothing half written.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

fn caf_search(folder: &Path, line: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_caf-search")).args(line).current_dir(folder).output().unwrap()
}

/// Runs every line in an empty folder and expects the exit code, an error, no panic and nothing left behind.
fn all_end_with(code: i32, lines: &[&[&str]]) {
    for line in lines {
        let folder = tempfile::tempdir().unwrap();
        let output = caf_search(folder.path(), line);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line:?}: {text}");
        assert!(text.contains("error: "), "{line:?}: {text}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{line:?} left something behind");
    }
}

#[test]
fn a_wrong_call_ends_with_2() {
    all_end_with(
        2,
        &[
            &["scene", "--out", "out", "--count", "0"],
            &["scene", "--out", "out", "--count", "18446744073709551615"],
            &["scene", "--out", "out", "--size", "1x1", "--count", "1"],
            &["scene", "--out", "out", "--clip", "nan"],
            &["scene", "--out", "out", "--clip", "1", "--fps", "0"],
            &["scene", "--out", "out", "--clip", "1", "--condition", "day", "--condition", "fog"],
            &["fuse", "--data", "absent", "--out", "out"],
            &["search", "--out", "out", "--batch", "0"],
            &["search", "--out", "out", "--batch", "99999999999"],
            &["search", "--out", "out", "--iterations", "0"],
            &["search", "--out", "out", "--crop", "33x32"],
            &["search", "--out", "out", "--set", "beta.nothing=1"],
            &["search", "--out", "out", "--set", "beta.rate=nan"],
            &["search", "--out", "out", "--set", "task.hyp.anchor_t=0.5"],
            &["search", "--out", "out", "--ir-range", "99,1"],
            &["fuse", "--data", "absent", "--out", "out", "--method", "max", "--ir-range", "half"],
            &["train", "fusion", "--out", "out", "--set", "batch=-1"],
            &["train", "fusion", "--out", "out", "--set", "validate_pairs=0"],
            &["train", "task", "--data", "absent", "--images", "visible", "--out", "out", "--set", "loss.anchor_t=0.5"],
            &["train", "task", "--data", "absent", "--images", "visible", "--out", "out", "--set", "threads=99999"],
            &["eval", "--data", "absent", "--images", "visible"],
            &["nothing"],
        ],
    );
}

#[test]
fn failed_work_ends_with_1() {
    all_end_with(
        1,
        &[
            &["fuse", "--data", "absent", "--out", "out", "--method", "max"],
            &["split", "--data", "absent"],
            &["search", "--out", "out", "--data", "absent"],
            &["train", "fusion", "--out", "out", "--beta", "absent.toml"],
            &["train", "task", "--data", "absent", "--images", "visible", "--out", "out"],
            &["eval", "--data", "absent", "--images", "absent"],
            &["import", "absent.pth", "out.safetensors"],
        ],
    );
}

#[test]
fn a_cause_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let output = caf_search(folder.path(), &["search", "--out", "out", "--config", "absent.toml"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("absent.toml") && text.matches("os error 2").count() == 1, "{text}");
}

#[test]
fn rendered_pairs_are_told_in_words_and_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let line = ["scene", "--out", "out", "--count", "2", "--size", "64x48", "--json", "made.json"];
    let output = caf_search(folder.path(), &line);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let made: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("made.json")).unwrap()).unwrap();
    assert_eq!((made["train"].as_u64(), made["val"].as_u64()), (Some(1), Some(1)));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 train and 1 val pairs"));
}

fn succeeds(folder: &Path, line: &[&str]) -> String {
    let output = caf_search(folder, line);
    assert_eq!(output.status.code(), Some(0), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn fails(folder: &Path, line: &[&str]) -> String {
    let output = caf_search(folder, line);
    assert_eq!(output.status.code(), Some(1), "{line:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn pairs_that_cannot_be_read_leave_no_lists_and_no_images() {
    let folder = tempfile::tempdir().unwrap();
    succeeds(folder.path(), &["scene", "--out", "pairs", "--count", "6", "--size", "64x48"]);
    // Fused images of one data set do not fit another: all of them are named.
    succeeds(folder.path(), &["scene", "--out", "other", "--count", "6", "--size", "48x64"]);
    let names: Vec<String> = std::fs::read_dir(folder.path().join("pairs/vi"))
        .unwrap()
        .map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let text = fails(folder.path(), &["eval", "--data", "pairs", "--images", "other/vi", "--json", "eval.json"]);
    assert!(text.contains("6 problem(s)") && names.iter().all(|n| text.contains(n)), "{text}");

    for name in &names {
        let path = folder.path().join(format!("pairs/vi/{name}.png"));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }
    for line in [
        &["split", "--data", "pairs", "--out", "out", "--neighbour-gap", "0"][..],
        &["fuse", "--data", "pairs", "--out", "out", "--method", "average"],
        &["search", "--data", "pairs", "--out", "out", "--set", "data.neighbour_gap=0", "--crop", "32x32"],
        &["train", "task", "--data", "pairs", "--images", "visible", "--out", "out"],
    ] {
        let text = fails(folder.path(), line);
        assert!(text.contains(".png"), "{line:?}: {text}");
        assert!(!folder.path().join("out").exists(), "{line:?} left something behind");
    }
    assert!(!folder.path().join("eval.json").exists());
}

#[test]
fn a_training_goes_on_with_the_same_call_until_it_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    succeeds(folder.path(), &["scene", "--out", "pairs", "--count", "6", "--size", "64x48", "--val-share", "0.5"]);
    let call = [
        "train",
        "task",
        "--data",
        "pairs",
        "--images",
        "infrared",
        "--out",
        "out",
        "--size",
        "64x64",
        "--epochs",
        "1",
        "--set",
        "width_multiple=0.125",
        "--ir-range",
        "min_max",
    ];
    assert!(succeeds(folder.path(), &call).contains("done: "));
    assert!(succeeds(folder.path(), &call).contains("nothing left to do"));
    let saved = std::fs::read_to_string(folder.path().join("out/task.toml")).unwrap();
    assert!(saved.contains("ir_range = \"min_max\""), "{saved}");
    let other: Vec<&str> = call.iter().map(|w| if *w == "min_max" { "full" } else { w }).collect();
    let text = fails(folder.path(), &other);
    assert!(text.contains("ir_range: saved \"min_max\", now \"full\""), "{text}");
    let measured = succeeds(
        folder.path(),
        &["eval", "--data", "pairs", "--list", "val.txt", "--images", "infrared", "--task", "out/best.safetensors"],
    );
    assert!(measured.contains("mean") && measured.contains("detect: "), "{measured}");
}
