//! Repeatable randomness by position: the same cell gives the same value in every frame, on every run.

use super::vector::{V3, mix};

/// A well-mixed 32-bit value of three integers and a seed (the finaliser constants of MurmurHash3).
pub(crate) fn hash(x: i32, y: i32, z: i32, seed: u32) -> u32 {
    let mut h = seed ^ 0x9E37_79B9;
    for v in [x, y, z] {
        h ^= v as u32;
        h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
        h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
        h ^= h >> 16;
    }
    h
}

/// Uniform in [0, 1).
pub(crate) fn cell(x: i32, y: i32, z: i32, seed: u32) -> f32 {
    (hash(x, y, z, seed) >> 8) as f32 / (1 << 24) as f32
}

/// Roughly normal, mean 0, deviation 1: the sum of four uniforms.
pub(crate) fn bell(index: u32, seed: u32) -> f32 {
    let a = hash(index as i32, 0, 1, seed);
    let b = hash(index as i32, 1, 2, seed);
    let sum = (a & 0xFFFF) + (a >> 16) + (b & 0xFFFF) + (b >> 16);
    // Four uniforms of width 65536 have a variance of 4/12 · 65536².
    (sum as f32 - 131_070.0) / 37_837.0
}

/// Smooth noise in [0, 1] with features of about one unit.
pub(crate) fn value2(x: f32, y: f32, seed: u32) -> f32 {
    let (fx, fy) = (x.floor(), y.floor());
    let (kx, ky) = (fade(x - fx), fade(y - fy));
    let (ix, iy) = (fx as i32, fy as i32);
    let at = |dx, dy| cell(ix + dx, iy + dy, 0, seed);
    mix(mix(at(0, 0), at(1, 0), kx), mix(at(0, 1), at(1, 1), kx), ky)
}

/// As [`value2`], in space.
pub(crate) fn value3(p: V3, seed: u32) -> f32 {
    let fz = p.z.floor();
    let kz = fade(p.z - fz);
    let slice = |z: f32| value2(p.x, p.y, seed ^ (z as i32 as u32).wrapping_mul(0x27D4_EB2F));
    mix(slice(fz), slice(fz + 1.0), kz)
}

/// Three octaves of [`value2`], in [0, 1].
pub(crate) fn cloud2(x: f32, y: f32, seed: u32) -> f32 {
    (value2(x, y, seed) * 4.0 + value2(x * 2.0, y * 2.0, seed ^ 1) * 2.0 + value2(x * 4.0, y * 4.0, seed ^ 2)) / 7.0
}

fn fade(k: f32) -> f32 {
    k * k * (3.0 - 2.0 * k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bell_has_mean_zero_and_deviation_one() {
        let n = 40_000;
        let values: Vec<f64> = (0..n).map(|i| f64::from(bell(i, 7))).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n);
        // Five standard errors of each.
        assert!(mean.abs() < 0.025 && (variance - 1.0).abs() < 0.035, "{mean} {variance}");
    }

    #[test]
    fn noise_is_continuous_across_cells() {
        for i in 0..50 {
            let x = i as f32 * 0.37;
            assert!((value2(x.ceil() - 1e-4, 0.3, 5) - value2(x.ceil() + 1e-4, 0.3, 5)).abs() < 1e-3);
        }
    }
}
