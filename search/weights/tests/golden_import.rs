//! Original checkpoints against the same tensors as safetensors, bit for bit.
//!
//! Cases are the pairs `X.pth`/`X.pt` + `X.safetensors` in the golden folders. No tolerance: importing copies bits, and
//! widening half to single precision is exact.

#![allow(clippy::unwrap_used, clippy::panic)]

use caf_net::zoo::caf::CafConfig;
use caf_weights::import::{ImportOptions, import_checkpoint};
use caf_weights::{DType, load_safetensors};
use std::path::{Path, PathBuf};

fn shared() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CAF_SHARED") {
        return Some(path.into());
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().map(|folder| folder.join("../shared")).find(|folder| folder.join("golden").is_dir())
}

/// The golden folder, or `None` after saying that the test is skipped.
fn golden(test: &str, folder: &str) -> Option<PathBuf> {
    let found = shared().map(|s| s.join("golden").join(folder)).filter(|f| f.is_dir());
    if found.is_none() {
        eprintln!("SKIP {test}: no golden/{folder} in $CAF_SHARED or in ../shared beside the repository");
    }
    found
}

fn checkpoints(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "pth" || e == "pt"))
        .map(|path| (path.clone(), path.with_extension("safetensors")))
        .filter(|(_, twin)| twin.is_file())
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no checkpoint with a safetensors twin in {}", folder.display());
    found
}

fn compare(test: &str, folder: &str) {
    let Some(folder) = golden(test, folder) else { return };
    let (mut cases, mut tensors, mut values) = (0, 0, 0);
    for (original, twin) in checkpoints(&folder) {
        let imported = import_checkpoint(&original, &ImportOptions::default()).unwrap();
        let expected = load_safetensors(&twin).unwrap();
        assert!(imported.ignored.is_empty(), "{:?}", imported.ignored);
        assert!(imported.class.is_some() && imported.entry.is_some());
        assert!(!expected.is_empty());
        for (name, wanted) in expected.iter() {
            let got = imported.weights.get(name).unwrap_or_else(|| panic!("{name} was not imported"));
            assert_eq!((got.dtype(), got.shape()), (wanted.dtype(), wanted.shape()), "{name}");
            assert!(got.bytes() == wanted.bytes(), "{name} differs");
            values += got.len();
            tensors += 1;
        }
        assert_eq!(imported.weights.len(), expected.len(), "names that the twin lacks");
        cases += 1;
    }
    println!("{test}: {cases} checkpoints, {tensors} tensors, {values} values equal bit for bit");
}

#[test]
fn caf_checkpoints_equal_their_twins() {
    compare("caf_checkpoints_equal_their_twins", "caf");
}

#[test]
fn yolov5_checkpoints_equal_their_twins() {
    compare("yolov5_checkpoints_equal_their_twins", "yolov5");
}

#[test]
fn half_precision_can_be_kept() {
    let Some(folder) = golden("half_precision_can_be_kept", "yolov5") else { return };
    let options = ImportOptions { keep_types: true, ..ImportOptions::default() };
    let mut halves = 0;
    for (original, _) in checkpoints(&folder) {
        let kept = import_checkpoint(&original, &options).unwrap().weights;
        halves += kept.iter().filter(|(_, t)| t.dtype() == DType::F16).count();
        let widened = import_checkpoint(&original, &ImportOptions::default()).unwrap().weights;
        assert!(kept.widened().iter().eq(widened.iter()));
    }
    assert!(halves > 0, "the README says that these are half-precision checkpoints");
    println!("half_precision_can_be_kept: {halves} tensors");
}

#[test]
fn caf_checkpoints_fit_the_network_and_damage_is_listed() {
    let test = "caf_checkpoints_fit_the_network_and_damage_is_listed";
    let Some(folder) = golden(test, "caf") else { return };
    let graph = caf_net::zoo::caf::graph(&CafConfig::default()).unwrap();
    for (original, _) in checkpoints(&folder) {
        let weights = import_checkpoint(&original, &ImportOptions::default()).unwrap().weights;
        weights.check(graph.params()).unwrap();
        // The order of state_dict is the order of the network's parameters.
        assert!(weights.iter().map(|(n, _)| n).eq(graph.params().iter().map(|p| p.name.as_str())));
        let fewer: Vec<_> = graph.params().iter().skip(2).cloned().collect();
        assert_eq!(weights.check(&fewer).unwrap_err().extra.len(), 2);
    }
}
