//! Plain double-precision images and what is done to them.

use caf_export::{Array, Values};

/// Even values in a range by a linear congruence; the tests need no better.
pub fn random(n: usize, low: f64, high: f64, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    // Rounded to single precision, so that both sides see the same numbers.
    (0..n).map(|_| f64::from((low + (high - low) * next()) as f32)).collect()
}

/// Batch, channels, height, width.
pub struct Image {
    pub n: usize,
    pub c: usize,
    pub h: usize,
    pub w: usize,
    pub values: Vec<f64>,
}

impl Image {
    pub fn random([n, c, h, w]: [usize; 4], seed: u64) -> Image {
        Image { n, c, h, w, values: random(n * c * h * w, 0.0, 1.0, seed) }
    }

    pub fn build(n: usize, c: usize, h: usize, w: usize, f: impl Fn(usize, usize, usize, usize) -> f64) -> Image {
        let mut values = Vec::new();
        for i in 0..n {
            for j in 0..c {
                for y in 0..h {
                    values.extend((0..w).map(|x| f(i, j, y, x)));
                }
            }
        }
        Image { n, c, h, w, values }
    }

    pub fn shape(&self) -> [usize; 4] {
        [self.n, self.c, self.h, self.w]
    }

    pub fn to_array(&self) -> Array {
        Array { shape: self.shape().to_vec(), values: Values::F32(self.values.iter().map(|v| *v as f32).collect()) }
    }

    pub fn at(&self, n: usize, c: usize, y: usize, x: usize) -> f64 {
        self.values[((n * self.c + c) * self.h + y) * self.w + x]
    }

    /// The value at a position that may lie outside.
    fn beyond(&self, n: usize, c: usize, y: isize, x: isize) -> Option<f64> {
        let inside = y >= 0 && x >= 0 && (y as usize) < self.h && (x as usize) < self.w;
        inside.then(|| self.at(n, c, y as usize, x as usize))
    }

    pub fn map(&self, f: impl Fn(f64) -> f64) -> Image {
        self.map_with_channel(|v, _| f(v))
    }

    pub fn map_with_channel(&self, f: impl Fn(f64, usize) -> f64) -> Image {
        Image::build(self.n, self.c, self.h, self.w, |n, c, y, x| f(self.at(n, c, y, x), c))
    }

    pub fn conv(
        &self,
        weight: &[f64],
        bias: Option<&[f64]>,
        [out, per_group, kh, kw]: [usize; 4],
        stride: usize,
        padding: usize,
        groups: usize,
    ) -> Image {
        let h = (self.h + 2 * padding - kh) / stride + 1;
        let w = (self.w + 2 * padding - kw) / stride + 1;
        Image::build(self.n, out, h, w, |n, o, y, x| {
            let group = o / (out / groups);
            let mut sum = bias.map_or(0.0, |b| b[o]);
            for i in 0..per_group {
                for ky in 0..kh {
                    for kx in 0..kw {
                        let sy = (y * stride + ky) as isize - padding as isize;
                        let sx = (x * stride + kx) as isize - padding as isize;
                        let v = self.beyond(n, group * per_group + i, sy, sx).unwrap_or(0.0);
                        sum += v * weight[((o * per_group + i) * kh + ky) * kw + kx];
                    }
                }
            }
            sum
        })
    }

    pub fn max_pool(&self, kernel: usize, stride: usize, padding: usize) -> Image {
        let side = |n: usize| (n + 2 * padding - kernel) / stride + 1;
        Image::build(self.n, self.c, side(self.h), side(self.w), |n, c, y, x| {
            let window = (0..kernel).flat_map(|ky| (0..kernel).map(move |kx| (ky, kx)));
            let place = |v: usize, k: usize| (v * stride + k) as isize - padding as isize;
            window.filter_map(|(ky, kx)| self.beyond(n, c, place(y, ky), place(x, kx))).fold(f64::MIN, f64::max)
        })
    }

    pub fn resize_bilinear(&self, height: usize, width: usize) -> Image {
        let taps = |i: usize, from: usize, to: usize| {
            let at = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
            let low = at.floor() as usize;
            (low, (low + 1).min(from - 1), at - at.floor())
        };
        Image::build(self.n, self.c, height, width, |n, c, y, x| {
            let (y0, y1, fy) = taps(y, self.h, height);
            let (x0, x1, fx) = taps(x, self.w, width);
            let row = |y: usize| self.at(n, c, y, x0) * (1.0 - fx) + self.at(n, c, y, x1) * fx;
            row(y0) * (1.0 - fy) + row(y1) * fy
        })
    }
}
