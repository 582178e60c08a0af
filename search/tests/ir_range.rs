//! The infrared range of weights against the range that a call reads infrared by: one rule for all commands.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop at the line that fails")]

use std::path::Path;
use std::process::Command;

/// Runs a line; the exit code and everything it said.
fn caf_search(folder: &Path, line: &str) -> (Option<i32>, String) {
    let program = env!("CARGO_BIN_EXE_caf-search");
    let output = Command::new(program).args(line.split_whitespace()).current_dir(folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    (output.status.code(), text)
}

#[test]
fn weights_of_another_range_are_a_wrong_call_in_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let done = |line: &str| {
        let (code, text) = caf_search(folder.path(), line);
        assert_eq!(code, Some(0), "{line}: {text}");
        text
    };
    std::fs::write(folder.path().join("beta.toml"), "[weights]\n\"l1.ir\" = 1.0\n").unwrap();
    done("scene --out pairs --count 4 --size 96x64 --val-share 0.5");
    let task = "--size 64x64 --iterations 1 --batch 1 --device cpu --set task.width_multiple=0.125";
    let fusion = "--beta beta.toml --size 32x32 --iterations 1 --batch 1 --device cpu --set fusion.network.width=4";
    let small = "--size 64x64 --iterations 1 --batch 1 --device cpu --set task.width_multiple=0.125 \
                 --set fusion.network.width=4 --train train.txt --val val.txt";
    done(&format!("train task --data pairs --images infrared --out task --ir-range min_max {task}"));
    done(&format!("train task --data pairs --images visible --out visible {task}"));
    done(&format!("train fusion --data pairs --out net --ir-range 9..70 {fusion}"));

    for (line, words) in [
        (
            "fuse --data pairs --fusion net/fusion.safetensors --out fused --ir-range full".to_owned(),
            ["range 9..70", "full: net"],
        ),
        (
            "eval --data pairs --images infrared --task task/best.safetensors --ir-range 1,99".to_owned(),
            ["range min_max", "1,99: task"],
        ),
        (
            format!("train task --data pairs --images infrared --out new --init task/best.safetensors {task}"),
            ["range min_max", "full: task"],
        ),
        (
            format!("train fusion --data pairs --out new --init net/fusion.safetensors {fusion}"),
            ["range 9..70", "full: net"],
        ),
        (
            format!("search --data pairs --out new --init task/best.safetensors --ir-range 9..70 {small}"),
            ["range min_max", "9..70: task"],
        ),
        (
            format!(
                "search --data pairs --out new --set fusion.init=net/fusion.safetensors --ir-range min_max {small}"
            ),
            ["range 9..70", "min_max: net"],
        ),
    ] {
        let (code, text) = caf_search(folder.path(), &line);
        assert_eq!(code, Some(2), "{line}: {text}");
        for word in words.into_iter().chain(["--ir-range", ".safetensors was trained on the infrared range"]) {
            assert!(text.contains(word), "{line}: {word}: {text}");
        }
        assert!(!folder.path().join("new").exists() && !folder.path().join("fused").exists(), "{line}");
    }

    // Without the option the file's range; the range that the file has; weights to which infrared is nothing.
    let text = done("eval --data pairs --images infrared --task task/best.safetensors");
    assert!(text.contains("infrared range min_max, as the network was trained"), "{text}");
    done("eval --data pairs --images visible --task task/best.safetensors --ir-range 1,99");
    done(&format!("train fusion --data pairs --out on --init net/fusion.safetensors --ir-range 9..70 {fusion}"));
    done(&format!("search --data pairs --out searched --init visible/best.safetensors --ir-range min_max {small}"));
}
