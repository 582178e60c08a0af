//! YOLOv5 on libtorch against values of the original. ONNX Runtime goes through the same comparison in `onnx_parity`; batch
//! statistics, gradients, assignment, loss and optimiser steps are compared by the golden tests of `caf-yolo`.

#![allow(clippy::unwrap_used, clippy::panic)]

use caf_net::zoo::yolov5::graph;
use caf_net::{ParamRole, ParamSpec};
use caf_tests::engine::LIBTORCH;
use caf_tests::golden::{self, json};
use caf_tests::table::say;
use caf_tests::yolov5;
use caf_yolo::Group;
use serde_json::Value;
use std::collections::BTreeMap;

#[test]
fn detection_on_libtorch_equals_the_original() {
    let test = "detection_on_libtorch_equals_the_original";
    let Some(folder) = golden::folder(test, "yolov5") else { return };
    yolov5::compare(test, &folder, LIBTORCH);
}

#[test]
fn the_checkpoint_is_read_bit_for_bit_and_fits_the_network() {
    let test = "the_checkpoint_is_read_bit_for_bit_and_fits_the_network";
    let Some(folder) = golden::folder(test, "yolov5") else { return };
    let (checkpoint, _, config) = yolov5::checkpoint(&folder);
    let graph = graph(&config).unwrap();
    checkpoint.weights.check(graph.params()).unwrap();
    say(&format!("{test}: {}, {} tensors, {} scalars", checkpoint.name, checkpoint.weights.len(), checkpoint.scalars));
}

fn scalars<'a>(params: impl IntoIterator<Item = &'a ParamSpec>) -> usize {
    params.into_iter().map(ParamSpec::len).sum()
}

fn count(value: &Value) -> usize {
    value.as_u64().unwrap_or_else(|| panic!("expected a whole number, found {value}")) as usize
}

#[test]
fn every_size_has_the_originals_parameters() {
    let test = "every_size_has_the_originals_parameters";
    let Some(folder) = golden::folder(test, "yolov5") else { return };
    let models = json(&folder.join("models.json"));
    let models = models.as_object().unwrap();
    assert!(!models.is_empty());
    let (mut names, mut layers) = (0, 0);
    for (model, entry) in models {
        let graph = graph(&yolov5::config(entry)).unwrap();
        let params = graph.params();
        let trainable: Vec<&ParamSpec> = params.iter().filter(|p| p.role.is_trainable()).collect();
        assert_eq!(scalars(trainable.iter().copied()), count(&entry["total_params"]), "{model}");
        assert_eq!(trainable.len(), count(&entry["param_tensors"]), "{model}");
        assert_eq!(params.len(), count(&entry["state_dict_entries"]), "{model}");
        // Folding keeps each shift, as a bias, and drops each scale.
        let scales = scalars(params.iter().filter(|p| p.role == ParamRole::NormWeight));
        assert_eq!(graph.trainable_count() - scales, count(&entry["total_params_fused"]), "{model}");
        let groups = [(Group::Bias, "biases"), (Group::Kernel, "decay_weights"), (Group::Scale, "bn_weights")];
        for (group, key) in groups {
            let members: Vec<&ParamSpec> = params.iter().filter(|p| Group::of(p.role) == Some(group)).collect();
            let expected = &entry["optimizer_groups"][key];
            let found = (members.len(), scalars(members));
            assert_eq!(found, (count(&expected[0]), count(&expected[1])), "{model} {key}");
        }
        for layer in entry["layers"].as_array().unwrap() {
            let prefix = format!("model.{}.", layer["i"]);
            let found = scalars(trainable.iter().copied().filter(|p| p.name.starts_with(&prefix)));
            assert_eq!(found, count(&layer["params"]), "{model} {prefix}");
            layers += 1;
        }
        if let Some(state) = entry["state_dict"].as_object() {
            let shape = |v: &Value| v.as_array().unwrap().iter().map(count).collect::<Vec<_>>();
            let expected: BTreeMap<&str, Vec<usize>> = state.iter().map(|(n, s)| (n.as_str(), shape(s))).collect();
            let found: BTreeMap<&str, Vec<usize>> = params.iter().map(|p| (p.name.as_str(), p.shape.clone())).collect();
            assert_eq!(found, expected, "{model}");
            names += state.len();
        }
    }
    assert!(names > 0 && layers > 0, "models.json names no parameter or no layer");
    say(&format!("{test}: {} networks, {layers} layers, {names} names and shapes", models.len()));
}
