//! Suppression at the sizes of real cameras.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench is a program of its own that stops at the line that fails"
)]

use std::hint::black_box;

use caf_geometry::{NmsScratch, NmsSettings, nms_into};
use caf_golden::Bench;

const CLASSES: usize = 6;

/// Numbers in [0, 1) without structure.
fn noise(mut state: u64) -> impl FnMut() -> f32 {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    }
}

fn suppress(bench: &Bench) {
    for count in [6300, 25_200] {
        let mut next = noise(4);
        let mut rows = vec![];
        for _ in 0..count {
            rows.extend([next() * 640.0, next() * 640.0, 8.0 + next() * 100.0, 8.0 + next() * 100.0]);
            rows.push(next().powi(6));
            rows.extend((0..CLASSES).map(|_| next()));
        }
        for (name, settings) in [("live", NmsSettings::default()), ("validation", NmsSettings::validation())] {
            let (mut scratch, mut out) = (NmsScratch::default(), vec![]);
            bench.run(&format!("suppress {count} rows, {name}"), || {
                nms_into(black_box(&rows), CLASSES, &settings, &mut scratch, &mut out).unwrap()
            });
        }
    }
}

fn main() {
    let bench = Bench::from_args();
    suppress(&bench);
}
