//! The loss and its gradient from stored heads.

use crate::support::{Case, cases, max_abs, stored_layout};
use caf_golden::{Tally, items, number, numbers};
use caf_torch::{GradOptions, gradients};
use caf_yolo::{Hyp, YoloLoss};
use tch::Tensor;

/// Loss from stored heads, relative. The README suggests 1e-6, its measured float32 error being 6e-7 for the whole network.
const LOSS: f64 = 1e-6;

/// Gradient with respect to stored heads, absolute. The README measures 2.3e-9 between float32 and float64.
const GRADIENT: f64 = 1e-8;

/// Settings, heads and targets of a variant, read from its name.
fn variant(case: &Case, name: &str) -> (Hyp, &'static str, String, usize) {
    let mut hyp = case.hyp();
    let (mut heads, mut targets, mut classes) = ("train_head", "targets".to_owned(), case.network().classes);
    let parse = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("{}: variant {name}", case.name));
    if let Some(value) = name.strip_prefix("label_smoothing_") {
        hyp.label_smoothing = parse(value);
    } else if let Some(value) = name.strip_prefix("focal_gamma_") {
        hyp.fl_gamma = parse(value);
    } else if let Some((cls, obj)) = name.strip_prefix("pos_weights_cls").and_then(|s| s.split_once("_obj")) {
        (hyp.cls_pw, hyp.obj_pw) = (parse(cls), parse(obj));
    } else {
        match name {
            "default" => {}
            "autobalance" => hyp.autobalance = true,
            "one_class" => (heads, classes) = ("nc1_head", 1),
            "empty_targets" => targets = String::new(),
            other => targets = format!("targets_{other}"),
        }
    }
    (hyp, heads, targets, classes)
}

#[test]
fn every_variant_equals_the_original() {
    let test = "every_variant_equals_the_original";
    let Some(cases) = cases(test) else { return };
    let mut tally = Tally::new(test);
    for case in &cases {
        for (name, expected) in case.json["loss_variants"].as_object().unwrap() {
            tally.case(&format!("{} {name}", case.name));
            let (hyp, heads, targets, classes) = variant(case, name);
            let mut network = case.network();
            network.classes = classes;
            let mut loss = YoloLoss::new(&network, &hyp, case.image_size()).unwrap();
            let heads: Vec<Tensor> =
                (0..3).map(|l| case.raw_head(&format!("{heads}_l{l}")).set_requires_grad(true)).collect();
            let mut targets = if targets.is_empty() { Vec::new() } else { case.targets(&targets) };
            if classes == 1 {
                targets.iter_mut().for_each(|t| t.class = 0);
            }
            let value = loss.compute(&heads.iter().collect::<Vec<_>>(), &targets, &[]).unwrap();
            let mut relative = |what: &str, found: &Tensor, expected: &serde_json::Value| {
                let (found, expected) = (found.double_value(&[]), number(expected));
                let scale = if expected == 0.0 { 1.0 } else { expected.abs() };
                tally.add(what, 1, (found - expected).abs() / scale, LOSS);
            };
            let parts = [
                ("total", &value.total),
                ("lbox", &value.boxes),
                ("lobj", &value.objectness),
                ("lcls", &value.classes),
            ];
            for (key, found) in parts {
                relative("losses (relative)", found, &expected[key]);
            }
            relative("losses (relative)", &value.total, &expected["float64_total"]);
            if let Some(rules) = expected.get("lobj_by_rule") {
                relative("objectness by the last (relative)", &value.objectness, &rules["last"]);
            }

            let wanted = gradients(&value.total, &heads, GradOptions::default()).unwrap();
            let [largest, sums] = ["grad_head_absmax", "grad_head_sum"].map(|key| numbers(&expected[key]));
            assert_eq!((largest.len(), sums.len()), (wanted.len(), wanted.len()), "{name}");
            for (l, gradient) in wanted.iter().enumerate() {
                let found = stored_layout(gradient, classes);
                let suffix = if name == "default" { String::new() } else { format!("_{name}") };
                let key = format!("grad_head{suffix}_l{l}");
                if case.data.get(&key).is_some() {
                    tally.close("gradients", &found, &case.floats(&key), GRADIENT);
                }
                tally.close("largest gradients", &[max_abs(&found)], &[largest[l]], GRADIENT);
                let sum: f64 = found.iter().map(|v| f64::from(*v)).sum();
                // Float32 errors of 2.3e-9 in each of at most some thousand entries that are not rounded alike.
                tally.close("sums of gradients", &[sum], &[sums[l]], 1e-6);
            }

            if let Some(balance) = expected.get("balance_after").filter(|b| b.is_array()) {
                loss.rebalance(&value).unwrap();
                tally.close("balance", loss.balance(), &numbers(balance), 1e-6);
            }
        }
    }
    tally.finish();
}

#[test]
fn gains_are_scaled_like_the_originals() {
    let test = "gains_are_scaled_like_the_originals";
    let Some(cases) = cases(test) else { return };
    let mut tally = Tally::new(test);
    for case in &cases {
        tally.case(&case.name);
        let gains = case.hyp().gains(case.network().classes, 3, case.image_size());
        let expected = ["box", "cls", "obj"].map(|key| number(&case.json["hyp"][key]));
        tally.close("gains", &[gains.boxes, gains.classes, gains.objectness], &expected, 1e-12);
        let loss = YoloLoss::new(&case.network(), &case.hyp(), case.image_size()).unwrap();
        tally.close("balance", loss.balance(), &numbers(&case.json["balance"]), 0.0);
        let strides: Vec<f64> = case.network().levels().iter().map(|l| l.stride as f64).collect();
        assert_eq!(items(&case.json["stride"]).len(), 3);
        tally.close("strides", &strides, &numbers(&case.json["stride"]), 0.0);
    }
    tally.finish();
}
