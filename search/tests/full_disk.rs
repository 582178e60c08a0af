//! Every command on a disk that takes no more: exit code 1, the file by its name, and nothing half written.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop at the line that fails")]

use caf_golden::fails_on_full_disk;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_caf-search");
const SEARCH: &str = "search --data pairs --train train.txt --val val.txt --out search --device cpu --iterations 1 --batch 1 \
    --size 64x64 --set task.variant=n --set fusion.network.width=4 --set fusion.network.depth=1";
const FUSION: &str = "train fusion --beta beta.toml --data pairs --train train.txt --out fusion --device cpu --iterations 1 \
    --batch 1 --size 64x64 --set fusion.network.width=4 --set fusion.network.depth=1";
const TASK: &str = "train task --data pairs --images visible --size 64x64 --out task --device cpu --epochs 1 --batch 4 \
    --set task.width_multiple=0.125";

/// What the program leaves in the folder when the disk takes no more than so many KiB a file; the empty file that locks a result
/// folder is no result, and event files are the log once more.
fn fails(kib: usize, folder: &Path, line: &str, place: &str) -> Vec<String> {
    let left = fails_on_full_disk(PROGRAM, kib, folder, line, place);
    left.into_iter().filter(|file| !file.ends_with("/run.lock") && !file.contains("/tensorboard/")).collect()
}

/// Runs the program without a limit.
fn good(folder: &Path, line: &str) {
    let output = Command::new(PROGRAM).args(line.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Rendered pairs and a loss.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path(), "scene --out pairs --count 4 --size 96x64 --val-share 0.5 --condition day");
    std::fs::write(folder.path().join("beta.toml"), "[weights]\n\"l1.ir\" = 0.5\n\"l1.vi\" = 0.5\n").unwrap();
    folder
}

#[test]
fn a_disk_that_takes_nothing_is_named_by_every_command() {
    let folder = folder();
    for (line, place) in [
        ("scene --out more --count 2 --size 96x64", ".png"),
        ("scene --out clip --clip 0.2 --size 96x64", ".png"),
        ("split --data pairs --out lists", "lists/train.txt"),
        ("fuse --data pairs --method average --out fused", "fused/s000"),
        ("eval --data pairs --images pairs/vi --json eval.json", "eval.json"),
        (SEARCH, "search/config.toml"),
        (FUSION, "fusion/config.toml"),
        (TASK, "task/config.toml"),
    ] {
        assert_eq!(fails(0, folder.path(), line, place), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn a_disk_that_fills_up_leaves_no_weights_and_the_same_call_goes_on_later() {
    let folder = folder();
    let fails = |line, place| fails(4, folder.path(), line, place);
    assert_eq!(fails(SEARCH, "search/state.safetensors"), ["search/config.toml", "search/log.csv"]);
    let left = fails(FUSION, "fusion/state.safetensors");
    assert!(left.iter().all(|file| !file.ends_with(".safetensors") && !file.contains("partial")), "{left:?}");
    let left = fails(TASK, "safetensors");
    assert!(left.iter().all(|file| !file.ends_with(".safetensors") && !file.contains("partial")), "{left:?}");
    for line in [SEARCH, FUSION, TASK] {
        good(folder.path(), line);
    }
    // Results that are there stay as they are.
    let eval = "eval --data pairs --images visible --task task/best.safetensors --device cpu --json search/beta.toml";
    assert_eq!(fails_on_full_disk(PROGRAM, 0, folder.path(), eval, "search/beta.toml"), Vec::<String>::new());
    assert_eq!(
        fails_on_full_disk(PROGRAM, 0, folder.path(), "report --run search", "search/plots"),
        Vec::<String>::new()
    );
}

#[test]
fn imported_weights_that_do_not_fit_on_the_disk_are_no_file() {
    let Some(weights) = caf_golden::find("imported_weights_that_do_not_fit_on_the_disk_are_no_file", "golden/caf")
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = caf_golden::files(&weights, "", ".pth").remove(0);
    let line = format!("import {} weights.safetensors", checkpoint.display());
    assert_eq!(fails_on_full_disk(PROGRAM, 100, folder.path(), &line, "weights.safetensors"), Vec::<String>::new());
}
