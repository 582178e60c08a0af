//! All metrics of a profile at camera size.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench is a program of its own that stops at the line that fails"
)]

use std::hint::black_box;

use caf_eval::fusion::{Picture, Profile, score};
use caf_geometry::Size;
use caf_golden::Bench;

/// Numbers in [0, 1) without structure.
fn noise(mut state: u64) -> impl FnMut() -> f32 {
    move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    }
}

fn main() {
    let bench = Bench::from_args();
    let size = Size::new(640, 480);
    let picture = |seed| {
        let mut next = noise(seed);
        Picture::gray((0..640 * 480).map(|_| (next() * 255.0) as u8).collect(), size).unwrap()
    };
    let [ir, vi, fused] = [1, 2, 3].map(picture);
    for name in ["linfeng", "vifb", "cddfuse"] {
        let profile = Profile::named(name).unwrap();
        // New planes every time: what metrics share is part of the work.
        let measure = || score(&profile.planes(&ir, &vi, &fused).unwrap(), black_box(profile.metrics));
        bench.run(&format!("{name}, all metrics, 640x480"), measure);
    }
}
