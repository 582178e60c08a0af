//! Original checkpoints against the same tensors as safetensors, bit for bit.
//!
//! Cases are the pairs `X.pth`/`X.pt` + `X.safetensors` in the golden folders. No tolerance: importing copies bits, and
//! widening half to single precision is exact.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_golden::{Tally, find, stem};
use caf_net::zoo::caf::CafConfig;
use caf_weights::import::{ImportOptions, import_checkpoint};
use caf_weights::{DType, FusionFile, Weights, WeightsError, load_safetensors, read_weights};
use std::collections::BTreeMap;
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

/// Originals of the zoo: the files of each network, and the safetensors with the tensors of all of them.
const NETWORKS: [(&str, &[&str], &str); 5] = [
    ("didfuse", &["Encoder_weight_IJCAI.pkl", "Decoder_weight_IJCAI.pkl"], "weights"),
    ("reconet", &["params.pth"], "weights"),
    ("sdnet", &["IRVIS.model-10.index"], "weights"),
    ("tardal", &["tardal.pt"], "weights_tardal"),
    ("u2fusion", &["model.ckpt.index"], "weights"),
];

#[test]
fn originals_of_the_zoo_equal_their_twins_and_fit_their_networks() {
    let test = "originals_of_the_zoo_equal_their_twins_and_fit_their_networks";
    let mut tally = Tally::new(test);
    for (network, originals, twin) in NETWORKS {
        let Some(folder) = find(test, &format!("golden/networks/{network}")) else { return };
        tally.case(network);
        let mut all = Weights::new();
        for original in originals {
            let imported =
                import_checkpoint(folder.join("original").join(original), &ImportOptions::default()).unwrap();
            imported.weights.iter().for_each(|(name, tensor)| all.insert(name, tensor.clone()).unwrap());
        }
        let expected = load_safetensors(folder.join(format!("{twin}.safetensors"))).unwrap();
        for (name, wanted) in expected.iter() {
            let got = all.get(name).unwrap_or_else(|| panic!("{network}: {name} was not imported"));
            assert_eq!((got.dtype(), got.shape()), (wanted.dtype(), wanted.shape()), "{network}: {name}");
            assert!(got.bytes() == wanted.bytes(), "{network}: {name} differs");
            tally.add("bits", got.len(), 0.0, 0.0);
        }
        tally.equal("tensors", &[all.len()], &[expected.len()]);
        let file = FusionFile::of(all, Path::new(originals[0])).unwrap();
        assert_eq!(file.network.kind(), network);
    }
    tally.finish();
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
        let WeightsError::Unfit(mismatch) = weights.check(&fewer).unwrap_err() else {
            panic!("two tensors are too many")
        };
        assert_eq!(mismatch.extra.len(), 2);
    }
    tally.finish();
}

/// `cases/checkpoint-*`: checkpoints of the same network with what trainings leave in them. Those of the fusion network fit it
/// once read.
#[test]
fn checkpoints_of_real_trainings_fit_the_network() {
    let test = "checkpoints_of_real_trainings_fit_the_network";
    let Some(folder) = find(test, "cases") else { return };
    let graph = caf_net::zoo::caf::graph(&CafConfig::default()).unwrap();
    let mut tally = Tally::new(test);
    let folders = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> =
        folders.filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("checkpoint-"))).collect();
    folders.sort();
    for case in &folders {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        tally.case(&name);
        for path in caf_golden::files(case, "", ".pth") {
            let file = read_weights(&path).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
            if file.weights.get("encoder1.0.weight").is_some() {
                file.weights.check(graph.params()).unwrap();
            }
            let said = |part: &str| file.notes.iter().any(|note| note.contains(part));
            assert!(said("`module.`") || !name.contains("module-prefix"), "{name}: {:?}", file.notes);
            assert!(said("num_batches_tracked") || !name.contains("no-batch-counters"), "{name}: {:?}", file.notes);
            tally.add("tensors", file.weights.len(), 0.0, 0.0);
        }
    }
    assert!(!folders.is_empty(), "no checkpoint cases in {}", folder.display());
    tally.finish();
}

/// The official detector keeps its class names as an attribute of the pickled module.
#[test]
fn class_names_of_the_original_detector_come_along() {
    let test = "class_names_of_the_original_detector_come_along";
    let Some(folder) = find(test, "golden/yolov5") else { return };
    let names = std::fs::read(folder.join("coco_names.json")).unwrap();
    let names: BTreeMap<usize, String> = serde_json::from_slice(&names).unwrap();
    let names: Vec<String> = names.into_values().collect();
    let mut tally = Tally::new(test);
    for (original, _) in checkpoints(&folder) {
        tally.case(&stem(&original));
        let weights = read_weights(&original).unwrap().weights;
        let classes: Vec<String> = serde_json::from_str(&weights.metadata()["classes"]).unwrap();
        assert_eq!(classes, names);
        assert_eq!(weights.metadata()["class_count"], names.len().to_string());
        assert_eq!(weights.metadata()["strides_px"], "[8.0,16.0,32.0]");
        tally.add("class names", names.len(), 0.0, 0.0);
    }
    tally.finish();
}
