//! The loss on heads made here.

use super::*;
use caf_net::zoo::yolov5::Variant;
use caf_torch::{GradOptions, gradients};

/// Raw heads of a network with 2 classes on 64×64 pixels, the same numbers every time.
fn heads(images: i64) -> Vec<Tensor> {
    [8i64, 4, 2]
        .into_iter()
        .map(|side| {
            let n = images * 21 * side * side;
            let wave = (Tensor::arange(n, (Kind::Float, Device::Cpu)) * 0.37).sin() * 1.5;
            wave.view([images, 21, side, side]).set_requires_grad(true)
        })
        .collect()
}

fn loss(hyp: Hyp) -> YoloLoss {
    YoloLoss::new(&YoloConfig::new(Variant::N, 2), &hyp, 64).unwrap()
}

fn object(image: usize, cx: f32, cy: f32) -> Target {
    Target { image, class: 1, cx, cy, w: 0.3, h: 0.4 }
}

fn total(loss: &YoloLoss, heads: &[Tensor], targets: &[Target], regions: &[IgnoreRegion]) -> f64 {
    loss.compute(&heads.iter().collect::<Vec<_>>(), targets, regions).unwrap().total.double_value(&[])
}

/// Objectness of one cell, recomputed in plain arithmetic for a batch without objects.
#[test]
fn without_objects_the_loss_is_the_weighted_mean_of_softplus() {
    let loss = loss(Hyp::default());
    let heads = heads(2);
    let expected: f64 = heads
        .iter()
        .zip([4.0, 1.0, 0.4])
        .map(|(head, weight)| {
            let values: Vec<f32> =
                Vec::try_from(head.detach().view([2, 3, 7, -1]).select(2, 4).contiguous().view([-1])).unwrap();
            weight * values.iter().map(|v| f64::from(*v).exp().ln_1p()).sum::<f64>() / values.len() as f64
        })
        .sum();
    let found = total(&loss, &heads, &[], &[]);
    let expected = expected * loss.gains().objectness * 2.0;
    assert!((found - expected).abs() < 1e-6 * expected, "{found} {expected}");
}

#[test]
fn an_ignored_cell_has_no_gradient_and_leaves_the_others_alone() {
    let (loss, heads) = (loss(Hyp::default()), heads(1));
    // The left half: columns 0 and 1 of the coarser levels' 4 and 0 of their 2.
    let region = IgnoreRegion { image: 0, cx: 0.25, cy: 0.5, w: 0.5, h: 1.0 };
    let gradient = |regions: &[IgnoreRegion]| {
        let value = loss.compute(&heads.iter().collect::<Vec<_>>(), &[], regions).unwrap();
        gradients(&value.total, &heads, GradOptions::default()).unwrap()
    };
    for (with, without) in gradient(&[region]).iter().zip(gradient(&[])) {
        let half = with.size()[3] / 2;
        assert_eq!(with.narrow(3, 0, half).abs().max().double_value(&[]), 0.0);
        // The weighted form sums in another order: equal up to the last bits, entries being about 1e-4.
        let change = (with - &without).narrow(3, half, half).abs().max().double_value(&[]);
        assert!(change < 1e-10, "{change}");
        assert!(without.narrow(3, 0, half).abs().max().double_value(&[]) > 0.0);
    }
}

#[test]
fn a_region_of_another_image_changes_nothing_here() {
    let (loss, heads) = (loss(Hyp::default()), heads(2));
    let region = IgnoreRegion { image: 1, cx: 0.5, cy: 0.5, w: 1.0, h: 1.0 };
    let both = loss.compute(&heads.iter().collect::<Vec<_>>(), &[], &[region]).unwrap();
    let gradient = gradients(&both.total, &heads, GradOptions::default()).unwrap();
    assert!(gradient[0].get(0).abs().max().double_value(&[]) > 0.0);
    assert_eq!(gradient[0].get(1).abs().max().double_value(&[]), 0.0);
}

#[test]
fn computing_twice_gives_the_same_bits_and_moves_no_weight() {
    let loss = loss(Hyp { autobalance: true, ..Hyp::default() });
    let (heads, targets) = (heads(2), [object(0, 0.4, 0.4), object(1, 0.6, 0.5), object(1, 0.6, 0.5)]);
    let once = total(&loss, &heads, &targets, &[]);
    assert_eq!(once.to_bits(), total(&loss, &heads, &targets, &[]).to_bits());
    assert_eq!(loss.balance(), BALANCE);
}

/// Central differences in f64 against the derivative, through every part of the loss.
#[test]
fn the_gradient_is_the_derivative() {
    // Without focal factor and with gr = 0 nothing is held constant but α of the CIoU, so the box gain is off.
    let loss = loss(Hyp { gr: 0.0, box_gain: 0.0, label_smoothing: 0.1, cls_pw: 1.5, obj_pw: 0.7, ..Hyp::default() });
    let heads: Vec<Tensor> =
        heads(1).iter().map(|h| h.detach().to_kind(Kind::Double).set_requires_grad(true)).collect();
    let targets = [object(0, 0.4, 0.4), object(0, 0.7, 0.3)];
    let value = loss.compute(&heads.iter().collect::<Vec<_>>(), &targets, &[]).unwrap();
    let gradient = gradients(&value.total, &heads, GradOptions::default()).unwrap();
    let step = 1e-5;
    for (level, channel, y, x) in [(0, 4, 3, 3), (1, 11, 1, 1), (1, 6, 1, 1), (2, 18, 0, 1), (2, 20, 0, 0)] {
        let at = |delta: f64| {
            let moved: Vec<Tensor> = heads.iter().map(|h| h.detach().copy()).collect();
            let _ = moved[level].get(0).get(channel).get(y).get(x).g_add_scalar_(delta);
            total(&loss, &moved, &targets, &[])
        };
        let difference = (at(step) - at(-step)) / (2.0 * step);
        let found = gradient[level].double_value(&[0, channel, y, x]);
        assert!((found - difference).abs() < 1e-8 + 1e-5 * difference.abs(), "{level} {channel}: {found} {difference}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let loss = loss(Hyp::default());
    let heads = heads(1);
    let view: Vec<&Tensor> = heads.iter().collect();
    let text = |result: Result<LossValue, YoloError>| result.unwrap_err().to_string();
    assert!(text(loss.compute(&view[..2], &[], &[])).contains("3 levels, found 2"));
    let wrong = Tensor::zeros([1, 20, 4, 4], (Kind::Float, Device::Cpu));
    assert!(text(loss.compute(&[view[0], &wrong, view[2]], &[], &[])).contains("raw head 1"));
    let other = Tensor::zeros([2, 21, 4, 4], (Kind::Float, Device::Cpu));
    assert!(text(loss.compute(&[view[0], &other, view[2]], &[], &[])).contains("a batch of 1"));
    assert!(text(loss.compute(&view, &[object(1, 0.5, 0.5)], &[])).contains("object 0: expected an image below 1"));
    let class = Target { class: 2, ..object(0, 0.5, 0.5) };
    assert!(text(loss.compute(&view, &[class], &[])).contains("a class below 2, found 2"));
    let nan = IgnoreRegion { image: 0, cx: f32::NAN, cy: 0.5, w: 0.1, h: 0.1 };
    assert!(text(loss.compute(&view, &[], &[nan])).contains("ignore region 0"));
}
