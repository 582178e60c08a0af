//! Original checkpoints against the same tensors as safetensors, bit for bit.
//!
//! Cases are the pairs `X.pth`/`X.pt` + `X.safetensors` in the golden folders. No tolerance: importing copies bits, and
//! widening half to single precision is exact.

#![allow(clippy::unwrap_used, clippy::panic)]

use caf_golden::{Tally, find, stem};
use caf_net::zoo::caf::CafConfig;
use caf_weights::import::{ImportOptions, import_checkpoint};
use caf_weights::{DType, load_safetensors};
use std::path::{Path, PathBuf};

/// Original checkpoints with their twins; at least one.
fn checkpoints(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let twins = caf_golden::files(folder, "", ".safetensors").into_iter();
    let original = |twin: &Path| ["pth", "pt"].map(|e| twin.with_extension(e)).into_iter().find(|p| p.is_file());
    let found: Vec<_> = twins.filter_map(|twin| Some((original(&twin)?, twin))).collect();
    assert!(!found.is_empty(), "no checkpoint with a safetensors twin in {}", folder.display());
    found
}

fn compare(test: &str, folder: &str) {
    let Some(folder) = find(test, folder) else { return };
    let mut tally = Tally::new(test);
    for (original, twin) in checkpoints(&folder) {
        tally.case(&stem(&original));
        let imported = import_checkpoint(&original, &ImportOptions::default()).unwrap();
        let expected = load_safetensors(&twin).unwrap();
        assert!(imported.ignored.is_empty(), "{:?}", imported.ignored);
        assert!(imported.class.is_some() && imported.entry.is_some());
        for (name, wanted) in expected.iter() {
            let got = imported.weights.get(name).unwrap_or_else(|| panic!("{name} was not imported"));
            assert_eq!((got.dtype(), got.shape()), (wanted.dtype(), wanted.shape()), "{name}");
            assert!(got.bytes() == wanted.bytes(), "{name} differs");
            tally.add("bits", got.len(), 0.0, 0.0);
        }
        tally.equal("tensors", &[imported.weights.len()], &[expected.len()]);
    }
    tally.finish();
}

#[test]
fn caf_checkpoints_equal_their_twins() {
    compare("caf_checkpoints_equal_their_twins", "golden/caf");
}

#[test]
fn yolov5_checkpoints_equal_their_twins() {
    compare("yolov5_checkpoints_equal_their_twins", "golden/yolov5");
}

#[test]
fn half_precision_can_be_kept() {
    let test = "half_precision_can_be_kept";
    let Some(folder) = find(test, "golden/yolov5") else { return };
    let options = ImportOptions { keep_types: true, ..ImportOptions::default() };
    let mut tally = Tally::new(test);
    for (original, _) in checkpoints(&folder) {
        tally.case(&stem(&original));
        let kept = import_checkpoint(&original, &options).unwrap().weights;
        let halves = kept.iter().filter(|(_, t)| t.dtype() == DType::F16).count();
        assert!(halves > 0, "the README says that these are half-precision checkpoints");
        let widened = import_checkpoint(&original, &ImportOptions::default()).unwrap().weights;
        assert!(kept.widened().iter().eq(widened.iter()));
        tally.add("tensors", widened.len(), 0.0, 0.0);
    }
    tally.finish();
}

#[test]
fn caf_checkpoints_fit_the_network_and_damage_is_listed() {
    let test = "caf_checkpoints_fit_the_network_and_damage_is_listed";
    let Some(folder) = find(test, "golden/caf") else { return };
    let graph = caf_net::zoo::caf::graph(&CafConfig::default()).unwrap();
    let mut tally = Tally::new(test);
    for (original, _) in checkpoints(&folder) {
        tally.case(&stem(&original));
        let weights = import_checkpoint(&original, &ImportOptions::default()).unwrap().weights;
        weights.check(graph.params()).unwrap();
        // The order of state_dict is the order of the network's parameters.
        let names: Vec<&str> = weights.iter().map(|(n, _)| n).collect();
        tally.equal("names", &names, &graph.params().iter().map(|p| p.name.as_str()).collect::<Vec<_>>());
        let fewer: Vec<_> = graph.params().iter().skip(2).cloned().collect();
        assert_eq!(weights.check(&fewer).unwrap_err().extra.len(), 2);
    }
    tally.finish();
}
