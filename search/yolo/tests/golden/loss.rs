//! The loss and its gradient from stored heads.

use crate::support::{Case, max_abs, max_difference, number, stored_layout};
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
    let (mut compared, mut values, mut worst_loss, mut worst_gradient) = (0, 0, 0f64, 0f64);
    let cases = crate::support::cases("every_variant_equals_the_original");
    for case in &cases {
        let variants = case.json["loss_variants"].as_object().unwrap();
        assert!(!variants.is_empty(), "{}: no loss_variants", case.name);
        for (name, expected) in variants {
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
            let parts = [
                ("total", &value.total),
                ("lbox", &value.boxes),
                ("lobj", &value.objectness),
                ("lcls", &value.classes),
            ];
            for (key, found) in parts {
                let (found, expected) = (found.double_value(&[]), number(&expected[key]));
                let error = (found - expected).abs() / expected.abs().max(1e-12);
                assert!(error <= LOSS || found == expected, "{name} {key}: {found} against {expected}");
                worst_loss = worst_loss.max(if found == expected { 0.0 } else { error });
                values += 1;
            }

            let wanted = gradients(&value.total, &heads, GradOptions::default()).unwrap();
            for (l, gradient) in wanted.iter().enumerate() {
                let found = stored_layout(gradient, classes);
                let suffix = if name == "default" { String::new() } else { format!("_{name}") };
                let key = format!("grad_head{suffix}_l{l}");
                if case.data.get(&key).is_some() {
                    let error = max_difference(&found, &case.floats(&key), &key);
                    assert!(error <= GRADIENT, "{key}: {error}");
                    worst_gradient = worst_gradient.max(error);
                    values += found.len();
                }
                let largest = number(&expected["grad_head_absmax"][l]);
                let error = (max_abs(&found) - largest).abs();
                assert!(error <= GRADIENT, "{name} level {l}: largest gradient off by {error}");
                let sum: f64 = found.iter().map(|v| f64::from(*v)).sum();
                let expected_sum = number(&expected["grad_head_sum"][l]);
                // Float32 errors of 2.3e-9 in each of at most some thousand entries that are not rounded alike.
                assert!((sum - expected_sum).abs() <= 1e-6, "{name} level {l}: sum {sum} against {expected_sum}");
                values += 2;
            }

            if let Some(balance) = expected.get("balance_after").and_then(|b| b.as_array()) {
                loss.rebalance(&value).unwrap();
                for (found, expected) in loss.balance().iter().zip(balance) {
                    assert!((found - number(expected)).abs() <= 1e-6, "{name}: {found} against {expected}");
                    values += 1;
                }
            }
            compared += 1;
        }
    }
    println!(
        "loss: {} cases, {compared} variants, {values} values; largest errors: loss {worst_loss:.1e} relative, \
         gradient {worst_gradient:.1e}",
        cases.len()
    );
}

#[test]
fn gains_are_scaled_like_the_originals() {
    for case in crate::support::cases("gains_are_scaled_like_the_originals") {
        let gains = case.hyp().gains(case.network().classes, 3, case.image_size());
        for (found, key) in [(gains.boxes, "box"), (gains.classes, "cls"), (gains.objectness, "obj")] {
            let expected = number(&case.json["hyp"][key]);
            assert!((found - expected).abs() < 1e-12, "{key}: {found} against {expected}");
        }
        let loss = YoloLoss::new(&case.network(), &case.hyp(), case.image_size()).unwrap();
        for (found, expected) in loss.balance().iter().zip(case.json["balance"].as_array().unwrap()) {
            assert_eq!(*found, number(expected));
        }
    }
}
