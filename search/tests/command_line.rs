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
            &["train", "fusion", "--out", "out", "--set", "batch=-1"],
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
