//! A search that runs into a value that is no number stops, says which, and keeps the last good state.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop at the line that fails")]

use caf_weights::{DType, load_safetensors};
use std::path::Path;
use std::process::{Command, Output};

const SEARCH: &str = "search --data pairs --train train.txt --val val.txt --device cpu --iterations 4 --batch 1 --size 64x64 \
    --set task.variant=n --set fusion.network.width=4 --set fusion.network.depth=1";

fn caf_search(folder: &Path, line: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_caf-search");
    Command::new(program).args(line.split_whitespace()).current_dir(folder).output().unwrap()
}

/// Must end with 1 and name `place`.
fn fails(folder: &Path, line: &str, place: &str) {
    let output = caf_search(folder, line);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{line}: {text}");
    assert!(text.contains("error: ") && text.contains(place) && !text.contains("panicked"), "{line}: {text}");
}

fn good(folder: &Path, line: &str) {
    let output = caf_search(folder, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn it_stops_names_the_value_and_keeps_the_last_good_state() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    good(folder, "scene --out pairs --count 4 --size 96x64 --val-share 0.5 --condition day");

    // The fusion network's own step makes an image that is no number: the first term that sees it is named, and there is no state.
    let line = format!("{SEARCH} --out fusion");
    fails(
        folder,
        &format!("{line} --set fusion.rate=1e30"),
        "fusion-loss term `l1.ir` in the β step is not finite at iteration 0",
    );
    assert!(!folder.join("fusion/state.safetensors").exists() && !folder.join("fusion/beta.toml").exists());
    good(folder, &line);

    // The detector survives its first step, whose rate the warm-up keeps small, and not the second.
    let line = format!("{SEARCH} --out task --set task.optimizer.rate=1e30");
    fails(folder, &line, "validation loss");
    let state = || load_safetensors(folder.join("task/state.safetensors")).unwrap();
    let kept = state();
    assert_eq!(kept.get("iteration").unwrap().to_i64_vec().unwrap(), [1]);
    for (name, tensor) in kept.iter().filter(|(_, t)| t.dtype() != DType::I64) {
        assert!(tensor.to_f64_vec().unwrap().iter().all(|v| v.is_finite()), "{name}");
    }
    // It is a state to go on from: the same call fails at the same place and leaves it alone.
    fails(folder, &line, "validation loss");
    assert!(kept.iter().eq(state().iter()));
}
