//! Filtering in the frequency domain, over the whole image.

use caf_geometry::Size;
use rustfft::num_complex::Complex64;
use rustfft::{Fft, FftPlanner};
use std::sync::Arc;

/// Plans for images of one size.
pub(super) struct Spectrum {
    size: Size,
    /// Columns of the half that determines the spectrum of a real image.
    half: usize,
    rows: [Arc<dyn Fft<f64>>; 2],
    columns: [Arc<dyn Fft<f64>>; 2],
}

impl Spectrum {
    /// For images of `size`, at least one pixel.
    pub fn new(size: Size) -> Self {
        let mut planner = FftPlanner::new();
        let rows = [planner.plan_fft_forward(size.width), planner.plan_fft_inverse(size.width)];
        let columns = [planner.plan_fft_forward(size.height), planner.plan_fft_inverse(size.height)];
        Self { size, half: size.width / 2 + 1, rows, columns }
    }

    /// The image whose spectrum is that of `image` times `response(fx, fy)`. Frequencies are in [-1, 1), as a fraction of the
    /// highest one; the response is asked for one of each pair ±f and must be even.
    pub fn filter(&self, image: &[f64], response: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let Size { width: w, height: h } = self.size;
        let mut by_column = self.forward(image);
        for (kx, column) in by_column.chunks_exact_mut(h).enumerate() {
            let [forward, inverse] = &self.columns;
            forward.process(column);
            for (ky, value) in column.iter_mut().enumerate() {
                *value *= response(frequency(kx, w), frequency(ky, h));
            }
            inverse.process(column);
        }
        self.inverse(&by_column)
    }

    /// Transforms the rows; returns the first half of the columns, one after the other. Two real rows are one complex row.
    fn forward(&self, image: &[f64]) -> Vec<Complex64> {
        let Size { width: w, height: h } = self.size;
        let mut by_column = vec![Complex64::default(); self.half * h];
        let mut line = vec![Complex64::default(); w];
        for y in (0..h).step_by(2) {
            let second = y + 1 < h;
            for (x, value) in line.iter_mut().enumerate() {
                *value = Complex64::new(image[y * w + x], if second { image[(y + 1) * w + x] } else { 0.0 });
            }
            self.rows[0].process(&mut line);
            for kx in 0..self.half {
                let (here, mirrored) = (line[kx], line[(w - kx) % w].conj());
                by_column[kx * h + y] = (here + mirrored) / 2.0;
                if second {
                    by_column[kx * h + y + 1] = (here - mirrored) * Complex64::new(0.0, -0.5);
                }
            }
        }
        by_column
    }

    fn inverse(&self, by_column: &[Complex64]) -> Vec<f64> {
        let Size { width: w, height: h } = self.size;
        let mut image = vec![0.0; w * h];
        let mut line = vec![Complex64::default(); w];
        let norm = 1.0 / (w * h) as f64;
        for y in (0..h).step_by(2) {
            let second = y + 1 < h;
            for (kx, value) in line.iter_mut().enumerate() {
                // Right of the middle: the conjugate of the mirrored frequency, as in every real row.
                let (k, mirror) = if kx < self.half { (kx, false) } else { (w - kx, true) };
                let part = |y: usize| if mirror { by_column[k * h + y].conj() } else { by_column[k * h + y] };
                *value = part(y);
                if second {
                    *value += part(y + 1) * Complex64::new(0.0, 1.0);
                }
            }
            self.rows[1].process(&mut line);
            for (x, value) in line.iter().enumerate() {
                image[y * w + x] = value.re * norm;
                if second {
                    image[(y + 1) * w + x] = value.im * norm;
                }
            }
        }
        image
    }
}

/// Frequency `k` of `n`, from -1 (the highest) to below 1.
fn frequency(k: usize, n: usize) -> f64 {
    let signed = if k < n.div_ceil(2) { k as f64 } else { k as f64 - n as f64 };
    2.0 * signed / n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    /// The definition, frequency by frequency.
    fn by_sums(image: &[f64], size: Size, response: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let Size { width: w, height: h } = size;
        let turn = |k: usize, x: usize, n: usize| 2.0 * PI * (k * x) as f64 / n as f64;
        let mut out = vec![0.0; w * h];
        for (kx, ky) in (0..h).flat_map(|ky| (0..w).map(move |kx| (kx, ky))) {
            let phase = |i: usize| turn(kx, i % w, w) + turn(ky, i / w, h);
            let sum = |part: fn(f64) -> f64| (0..w * h).map(|i| image[i] * part(phase(i))).sum::<f64>();
            let (re, im, gain) = (sum(f64::cos), -sum(f64::sin), response(frequency(kx, w), frequency(ky, h)));
            for (i, to) in out.iter_mut().enumerate() {
                *to += gain * (re * phase(i).cos() - im * phase(i).sin()) / (w * h) as f64;
            }
        }
        out
    }

    #[test]
    fn equals_the_sums_at_even_and_odd_sizes() {
        for size in
            [Size::new(8, 6), Size::new(7, 5), Size::new(6, 1), Size::new(1, 7), Size::new(1, 1), Size::new(10, 3)]
        {
            let image: Vec<f64> = (0..size.width * size.height).map(|i| ((i * i * 7 + 3) % 31) as f64).collect();
            let response = |fx: f64, fy: f64| (-(fx * fx + 2.0 * fy * fy)).exp() + 0.1 * fx.abs();
            let found = Spectrum::new(size).filter(&image, response);
            for (a, b) in found.iter().zip(by_sums(&image, size, response)) {
                assert!((a - b).abs() < 1e-10, "{size}: {a} {b}");
            }
        }
    }
}
