//! SegFormer on libtorch against values of the original: evaluation, training, gradients, names, sizes. ONNX Runtime goes through
//! the same comparison of evaluation in `onnx_parity`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_golden::{Tally, count, find, items, json, number, numbers};
use caf_net::zoo::network::Place;
use caf_net::zoo::segformer::names::place;
use caf_net::zoo::segformer::{self as net, Epsilons, SegFormerConfig, Variant};
use caf_tests::engine::LIBTORCH;
use caf_tests::segformer::{
    FILES, GRADIENTS, IMPLEMENTATIONS, INPUT_GRADIENT, LOGITS, LOSSES, STAGES, compare, config, graph, published,
    weights,
};
use caf_torch::{GradOptions, Mode, Params, forward, gradients, tensor_from_host};
use caf_weights::{Weights, load_safetensors};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Kind, Reduction, Tensor};

#[test]
fn segmentation_on_libtorch_equals_the_original() {
    let test = "segmentation_on_libtorch_equals_the_original";
    let Some(folder) = find(test, "golden/segformer") else { return };
    let mut tally = Tally::new(test);
    compare(&mut tally, &folder, LIBTORCH);
    tally.finish();
}

#[test]
fn both_names_give_the_same_bits() {
    let test = "both_names_give_the_same_bits";
    let Some(folder) = find(test, "golden/segformer") else { return };
    let mut tally = Tally::new(test);
    let [original, hub] = FILES.map(|(_, file)| weights(&folder, file));
    let graph = graph(&config(&folder, Epsilons::Original));
    for spec in graph.params() {
        tally.case(&spec.name);
        let (a, b) = (original.get(&spec.name), hub.get(&spec.name));
        assert!(a.is_some() && a == b, "{}", spec.name);
    }
    for weights in [&original, &hub] {
        weights.check(graph.params()).unwrap();
        tally.equal("tensors", &[weights.len()], &[graph.params().len()]);
    }
    tally.finish();
}

/// One stored run.
struct Golden {
    tensors: Weights,
    pixels: Tensor,
}

impl Golden {
    fn open(folder: &Path) -> Self {
        let tensors = load_safetensors(folder.join("tiny.safetensors")).unwrap();
        let pixels = tensor_from_host(tensors.get("pixel_values").unwrap()).unwrap();
        Golden { tensors, pixels }
    }

    fn get(&self, name: &str) -> Tensor {
        let host = self.tensors.get(name).unwrap_or_else(|| panic!("no tensor {name}"));
        tensor_from_host(host).unwrap()
    }
}

/// Cross-entropy of logits at the labels' size, 255 ignored: mean over valid pixels.
fn loss(logits: &Tensor, labels: &Tensor) -> Tensor {
    let size = [labels.size()[1], labels.size()[2]];
    let scores = logits.upsample_bilinear2d(size, false, None, None);
    scores.cross_entropy_loss(labels, None::<Tensor>, Reduction::Mean, 255, 0.0)
}

fn gap(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    (found.to_kind(Kind::Double) - expected.to_kind(Kind::Double)).abs().max().double_value(&[])
}

#[test]
fn losses_and_gradients_equal_the_original_in_evaluation_and_training() {
    let test = "losses_and_gradients_equal_the_original_in_evaluation_and_training";
    let Some(folder) = find(test, "golden/segformer") else { return };
    let mut tally = Tally::new(test);
    let golden = Golden::open(&folder);
    let results = json(&folder.join("tiny.json"));
    let [labels, other_labels] = ["labels", "labels_90x121"].map(|name| golden.get(name));
    for (implementation, epsilons) in IMPLEMENTATIONS {
        for (mode_name, mode) in [("eval", Mode::Eval), ("train", Mode::Train { seed: 5 })] {
            let run = format!("{implementation}_{mode_name}");
            tally.case(&run);
            let stated = &results["results"][&run];
            let net_graph = graph(&config(&folder, epsilons)).with_outputs(&["decode_head.linear_pred"]).unwrap();
            let weights = weights(&folder, FILES[0].1);
            let mut params = Params::from_weights(&net_graph, &weights, Device::Cpu, Kind::Float).unwrap();
            params.set_requires_grad(true);
            let pixels = golden.pixels.set_requires_grad(true);
            let logits = forward(&net_graph, &params, &[&pixels], mode).unwrap().remove(0);
            let row = |what: &str| format!("{run}: {what}");
            let expected = golden.get(&format!("{run}.logits"));
            tally.add(&row("logits"), expected.numel(), gap(&logits, &expected), LOGITS);
            let mean = loss(&logits, &labels);
            let all = labels.numel() as f64 / labels.ne(255).sum(Kind::Int64).int64_value(&[]) as f64;
            let other = loss(&logits, &other_labels).double_value(&[]);
            let found = [mean.double_value(&[]), mean.double_value(&[]) / all, other];
            let keys = ["loss_mean_over_valid", "loss_mean_over_all_pixels", "loss_90x121_mean_over_valid"];
            tally.close(&row("losses"), &found, &keys.map(|key| number(&stated[key])), LOSSES);

            let trainable = params.trainable();
            let wrt: Vec<Tensor> = trainable.iter().chain([&pixels]).map(Tensor::shallow_clone).collect();
            let found = gradients(&mean, &wrt, GradOptions::default()).unwrap();
            let (by_parameter, by_input) = found.split_at(trainable.len());
            let expected = golden.get(&format!("{run}.grad_input"));
            tally.add(&row("input gradient"), expected.numel(), gap(&by_input[0], &expected), INPUT_GRADIENT);
            let names = net_graph.params().iter().filter(|p| p.role.is_trainable()).map(|p| p.name.clone());
            let found: BTreeMap<String, &Tensor> = names.zip(by_parameter).collect();
            check_gradients(
                &mut tally,
                &golden,
                &run,
                &found,
                &items(&stated["parameters_with_zero_gradient"])
                    .iter()
                    .map(|v| v.as_str().unwrap())
                    .collect::<Vec<_>>(),
            );

            if mode_name == "train" {
                for (part, stored) in
                    [("running_mean", "bn_running_mean_after"), ("running_var", "bn_running_var_after")]
                {
                    let name = format!("decode_head.linear_fuse.bn.{part}");
                    let at = net_graph.params().iter().position(|p| p.name == name).unwrap();
                    let expected = golden.get(&format!("{run}.{stored}"));
                    // The batch enters with a tenth.
                    let error = gap(&params.tensors()[at], &expected);
                    tally.add(&row("running statistics"), expected.numel(), error, STAGES / 10.0);
                }
            }
        }
    }
    tally.finish();
}

/// Every stored gradient of a run, by its hub name.
fn check_gradients(tally: &mut Tally, golden: &Golden, run: &str, found: &BTreeMap<String, &Tensor>, zero: &[&str]) {
    let begin = format!("{run}.grad.");
    for (name, _) in golden.tensors.iter() {
        let Some(hub) = name.strip_prefix(&begin) else { continue };
        let expected = golden.get(name);
        let rows = expected.size()[0];
        let found = match place(hub).unwrap_or_else(|| panic!("no place for {hub}")) {
            Place::Whole(name) => found[&name].shallow_clone(),
            Place::FirstRows(name) => found[&name].narrow(0, 0, rows),
            Place::LastRows(name) => found[&name].narrow(0, rows, rows),
            Place::Unused => panic!("{hub} has a gradient"),
        };
        let (error, largest) = (gap(&found, &expected), expected.abs().max().double_value(&[]));
        if zero.contains(&hub) {
            // Zero in theory: float32 noise up to 1.2e-7 on either side.
            tally.add(&format!("{run}: gradients that are zero in theory"), expected.numel(), error, 1e-6);
        } else {
            tally.add(
                &format!("{run}: parameter gradients, share of the largest"),
                expected.numel(),
                error / largest,
                GRADIENTS,
            );
        }
    }
}

#[test]
fn in_double_precision_the_losses_are_those_of_the_original() {
    let test = "in_double_precision_the_losses_are_those_of_the_original";
    let Some(folder) = find(test, "golden/segformer") else { return };
    let mut tally = Tally::new(test);
    let golden = Golden::open(&folder);
    let results = json(&folder.join("tiny.json"));
    for (implementation, epsilons) in IMPLEMENTATIONS {
        for (mode_name, mode) in [("eval", Mode::Eval), ("train", Mode::BatchStatistics)] {
            let run = format!("{implementation}_{mode_name}");
            tally.case(&run);
            let graph = graph(&config(&folder, epsilons)).with_outputs(&["decode_head.linear_pred"]).unwrap();
            let weights = weights(&folder, FILES[1].1);
            let params = Params::from_weights(&graph, &weights, Device::Cpu, Kind::Double).unwrap();
            let logits = forward(&graph, &params, &[&golden.pixels.to_kind(Kind::Double)], mode).unwrap().remove(0);
            let found = loss(&logits, &golden.get("labels")).double_value(&[]);
            let expected = number(&results["results"][&run]["float64"]["loss_mean_over_valid"]);
            // Double precision leaves 1e-14; the rest is room for another order of summation.
            tally.close("losses", &[found], &[expected], 1e-11);
        }
    }
    tally.finish();
}

#[test]
fn the_published_sizes_have_the_published_parameters() {
    let test = "the_published_sizes_have_the_published_parameters";
    let Some(folder) = find(test, "golden/segformer") else { return };
    let mut tally = Tally::new(test);
    for variant in Variant::ALL {
        let name = format!("{variant:?}").to_lowercase();
        let stated = published(&folder, &name);
        for classes in [9, 19, 150] {
            tally.case(&format!("{name}, {classes} classes"));
            let config = SegFormerConfig::new(variant, classes);
            let graph = net::graph(&config).unwrap();
            let backbone = graph.params().iter().filter(|p| p.role.is_trainable() && p.name.starts_with("backbone."));
            let found = [backbone.map(|p| p.len()).sum::<usize>(), graph.trainable_count()];
            let total = &stated[format!("nc{classes}")]["total"];
            tally.equal("parameters", &found, &[count(&stated["backbone"]), count(total)]);
            let rates = config.drop_path_rates();
            tally.close("drop-path rates", &rates, &numbers(&stated["drop_path_rates"]), 1e-15);
        }
        let Some(state) = stated["state_dict_nc9"].as_array() else { continue };
        let graph = net::graph(&SegFormerConfig::new(variant, 9)).unwrap();
        let mut expected: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for entry in state {
            let shape: Vec<usize> = items(&entry["shape"]).iter().map(count).collect();
            let hub = entry["hub"].as_str().unwrap();
            let (name, halves) = match place(hub).unwrap() {
                Place::Whole(name) => (name, false),
                Place::FirstRows(name) | Place::LastRows(name) => (name, true),
                Place::Unused => panic!("{hub} is used"),
            };
            assert_eq!(Some(name.as_str()), entry["mmseg"].as_str(), "{hub}");
            let rows = expected.entry(name).or_insert_with(|| {
                if halves {
                    let mut s = shape.clone();
                    s[0] = 0;
                    s
                } else {
                    shape.clone()
                }
            });
            if halves {
                rows[0] += shape[0];
            }
        }
        let found: BTreeMap<String, Vec<usize>> =
            graph.params().iter().map(|p| (p.name.clone(), p.shape.clone())).collect();
        tally.equal("names and shapes", &Vec::from_iter(found), &Vec::from_iter(expected));
    }
    tally.finish();
}
