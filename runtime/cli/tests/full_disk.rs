//! The program on a disk that takes no more: exit code 1, the file by its name, and nothing half written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use caf_golden::fails_on_full_disk;
use common::{pipeline_model, save_gray, save_rgb};

#[test]
fn no_command_leaves_half_a_result() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    pipeline_model(folder, "model.onnx", 50, 38);
    for i in 0..3 {
        save_gray(&folder.join(format!("ir/{i:06}.png")), 50, 38, i);
        save_rgb(&folder.join(format!("vi/{i:06}.png")), 50, 38, i);
    }
    // What is there already must stay.
    std::fs::write(folder.join("old.webm"), "a video").unwrap();
    std::fs::write(folder.join("old.jsonl"), "lines").unwrap();
    let sources = "--model model.onnx --provider cpu --ir ir --vi vi --conf 0";
    // Beyond 1 KiB, some of what is written fits.
    for limit_kib in [0, 1] {
        for (line, place) in [
            (format!("fuse {sources} --out out"), "out/000000.png"),
            (format!("fuse {sources} --out out --detections old.jsonl"), "old.jsonl"),
            (format!("live {sources} --video old.webm"), "old.webm"),
            (format!("live {sources} --jsonl new.jsonl"), "new.jsonl"),
            (format!("live {sources} --jsonl old.jsonl --video new.webm"), "old.jsonl"),
        ] {
            let left = fails_on_full_disk(env!("CARGO_BIN_EXE_caf-run"), limit_kib, folder, &line, place);
            assert_eq!(left, Vec::<String>::new(), "{line}, {limit_kib} KiB");
        }
    }
    for (line, place) in [
        (format!("live {sources} --summary summary.json"), "summary.json"),
        ("check --model model.onnx --provider cpu --json check.json".to_owned(), "check.json"),
    ] {
        let left = fails_on_full_disk(env!("CARGO_BIN_EXE_caf-run"), 0, folder, &line, place);
        assert_eq!(left, Vec::<String>::new(), "{line}");
    }
}
