//! The slowest metric at camera size.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

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

criterion_group!(benches, bench_vif);
criterion_main!(benches);
