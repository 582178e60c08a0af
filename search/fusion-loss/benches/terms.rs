//! Time of one evaluation of the terms, forward and backward to the fused image, by autograd and written out, at batch 2 and
//! 128×128 px on the CPU.
//!
//! `cargo bench -p caf-fusion-loss` uses features that have learned nothing: their values do not change the time.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench is a program of its own that stops at the line that fails"
)]

use caf_fusion_loss::{FusionLoss, LossConfig, Saliency, Vgg, Weighting};
use caf_golden::Bench;
use std::hint::black_box;
use tch::{Device, Kind, Tensor};

fn main() {
    let bench = Bench::from_args();
    let image = |phase: f64| {
        ((Tensor::arange(2 * 128 * 128, (Kind::Float, Device::Cpu)) * 0.21 + phase).sin() * 0.4 + 0.5)
            .reshape([2, 1, 128, 128])
    };
    for (name, vgg) in
        [("13 without VGG-16", None), ("15 with VGG-16", Some(Vgg::untrained(Device::Cpu, Kind::Float).unwrap()))]
    {
        let loss = FusionLoss::with_vgg(&LossConfig::paper(), vgg, Device::Cpu, Kind::Float).unwrap();
        let saliency = Saliency::Complementary(image(3.0));
        let logits = Weighting::Softmax.start(loss.active().len(), Device::Cpu, Kind::Float).unwrap();
        bench.run(&format!("terms 2x128x128, {name}: sources"), || {
            black_box(loss.sources(&image(0.0), &image(1.0), &saliency).unwrap())
        });
        let sources = loss.sources(&image(0.0), &image(1.0), &saliency).unwrap();
        let fused = image(2.0);
        bench.run(&format!("terms 2x128x128, {name}: forward"), || loss.terms(black_box(&fused), &sources).unwrap());
        bench.run(&format!("terms 2x128x128, {name}: forward and backward"), || {
            let fused = image(2.0).set_requires_grad(true);
            let total = loss.total(&loss.terms(&fused, &sources).unwrap(), &logits).unwrap();
            Tensor::run_backward(&[&total], &[&fused], false, false)
        });
        bench.run(&format!("terms 2x128x128, {name}: values and the derivative of the total, written out"), || {
            loss.terms_and_total(&image(2.0).set_requires_grad(true), &sources, &logits).unwrap()
        });
        bench.run(&format!("terms 2x128x128, {name}: values and all derivatives, written out"), || {
            loss.terms_traced(black_box(&fused), &sources).unwrap()
        });
    }
}
