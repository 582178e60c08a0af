//! VIF at camera size, and the suppression of a crowded image.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use caf_detect::{NmsScratch, NmsSettings, nms_into};
use caf_eval::fusion::{Gray, Triple, vif};
use criterion::{Criterion, criterion_group, criterion_main};

/// Numbers in [0, 1) without structure.
fn noise(mut state: u64) -> impl FnMut() -> f32 {
    move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    }
}

fn bench_vif(c: &mut Criterion) {
    let (height, width) = (480, 640);
    let plane = |seed| {
        let mut next = noise(seed);
        (0..height * width).map(|_| (next() * 255.0) as u8).collect::<Vec<u8>>()
    };
    let planes = [plane(1), plane(2), plane(3)];
    let [ir, vi, fused] = planes.each_ref().map(|p| Gray::new(p, height, width).unwrap());
    let triple = Triple::new(ir, vi, fused).unwrap();
    c.bench_function("vif 640x480", |b| b.iter(|| vif(black_box(&triple)).unwrap()));
}

fn bench_nms(c: &mut Criterion) {
    let classes = 6;
    let mut next = noise(4);
    let mut rows = vec![];
    for _ in 0..25_200 {
        rows.extend([next() * 640.0, next() * 640.0, 8.0 + next() * 100.0, 8.0 + next() * 100.0]);
        rows.push(next().powi(6));
        rows.extend((0..classes).map(|_| next()));
    }
    for (name, settings) in [("live", NmsSettings::default()), ("validation", NmsSettings::validation())] {
        let (mut scratch, mut out) = (NmsScratch::default(), vec![]);
        c.bench_function(&format!("nms 25200 rows, {name}"), |b| {
            b.iter(|| nms_into(black_box(&rows), classes, &settings, &mut scratch, &mut out).unwrap());
        });
    }
}

criterion_group!(benches, bench_vif, bench_nms);
criterion_main!(benches);
