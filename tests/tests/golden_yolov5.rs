//! YOLOv5 on libtorch against values of the original, and its decoding alone on both engines. Otherwise ONNX Runtime goes through the same comparison in `onnx_parity`; batch
//! statistics, gradients, assignment, loss and optimiser steps are compared by the golden tests of `caf-yolo`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_golden::{Tally, count, find, items, json};
use caf_net::zoo::yolov5::{Variant, graph};
use caf_net::{ParamRole, ParamSpec};
use caf_tests::engine::{LIBTORCH, ONNX_FOLDED};
use caf_tests::yolov5;
use caf_yolo::Group;
use serde_json::Value;
use std::collections::BTreeMap;

#[test]
fn detection_on_libtorch_equals_the_original() {
    let test = "detection_on_libtorch_equals_the_original";
    let Some(folder) = find(test, "golden/yolov5") else { return };
    let mut tally = Tally::new(test);
    yolov5::compare(&mut tally, &folder, LIBTORCH);
    tally.finish();
}

#[test]
fn decoding_of_the_originals_heads_equals_its_own() {
    let test = "decoding_of_the_originals_heads_equals_its_own";
    let Some(folder) = find(test, "golden/yolov5") else { return };
    let mut tally = Tally::new(test);
    for engine in [LIBTORCH, ONNX_FOLDED] {
        yolov5::compare_decoding(&mut tally, &folder, engine);
    }
    tally.finish();
}

#[test]
fn the_checkpoint_fits_the_network() {
    let test = "the_checkpoint_fits_the_network";
    let Some(folder) = find(test, "golden/yolov5") else { return };
    let (checkpoint, _, config) = yolov5::checkpoint(&folder);
    let graph = graph(&config).unwrap();
    checkpoint.weights.check(graph.params()).unwrap();
    let mut tally = Tally::new(test);
    tally.case(&checkpoint.name);
    tally.equal("tensors", &[checkpoint.weights.len()], &[graph.params().len()]);
    tally.finish();
}

fn scalars<'a>(params: impl IntoIterator<Item = &'a ParamSpec>) -> usize {
    params.into_iter().map(ParamSpec::len).sum()
}

#[test]
fn every_size_has_the_originals_parameters() {
    let test = "every_size_has_the_originals_parameters";
    let Some(folder) = find(test, "golden/yolov5") else { return };
    let models = json(&folder.join("models.json"));
    let mut tally = Tally::new(test);
    for (model, entry) in models.as_object().unwrap() {
        tally.case(model);
        let config = yolov5::config(entry);
        let variant: Variant = serde_json::from_value(entry["variant"].clone()).unwrap();
        let multiples = variant.multiples();
        tally.equal("multiples", &[multiples.0, multiples.1], &[config.depth, config.width]);
        let graph = graph(&config).unwrap();
        let params = graph.params();
        let trainable: Vec<&ParamSpec> = params.iter().filter(|p| p.role.is_trainable()).collect();
        // Folding keeps each shift, as a bias, and drops each scale.
        let scales = scalars(params.iter().filter(|p| p.role == ParamRole::NormWeight));
        let found =
            [scalars(trainable.iter().copied()), trainable.len(), params.len(), graph.trainable_count() - scales];
        let keys = ["total_params", "param_tensors", "state_dict_entries", "total_params_fused"];
        tally.equal("parameters", &found, &keys.map(|key| count(&entry[key])));
        let groups = [(Group::Bias, "biases"), (Group::Kernel, "decay_weights"), (Group::Scale, "bn_weights")];
        for (group, key) in groups {
            let members: Vec<&ParamSpec> = params.iter().filter(|p| Group::of(p.role) == Some(group)).collect();
            let expected = &entry["optimizer_groups"][key];
            let found = [members.len(), scalars(members)];
            tally.equal(key, &found, &[count(&expected[0]), count(&expected[1])]);
        }
        let strides: Vec<usize> = items(&entry["stride"]).iter().map(count).collect();
        tally.equal("strides", &config.levels().map(|l| l.stride), &strides);
        for layer in items(&entry["layers"]) {
            let prefix = format!("model.{}.", layer["i"]);
            let found = scalars(trainable.iter().copied().filter(|p| p.name.starts_with(&prefix)));
            tally.equal("parameters of layers", &[found], &[count(&layer["params"])]);
        }
        if let Some(state) = entry["state_dict"].as_object() {
            let shape = |v: &Value| items(v).iter().map(count).collect::<Vec<_>>();
            let expected: BTreeMap<&str, Vec<usize>> = state.iter().map(|(n, s)| (n.as_str(), shape(s))).collect();
            let found: BTreeMap<&str, Vec<usize>> = params.iter().map(|p| (p.name.as_str(), p.shape.clone())).collect();
            tally.equal("names and shapes", &Vec::from_iter(found), &Vec::from_iter(expected));
        }
    }
    tally.finish();
}
