//! Filtering with a symmetric separable window, valid positions only.

use caf_geometry::Size;

/// A window that is the outer product of one odd, symmetric vector with itself, and the buffers to apply it.
pub(super) struct Separable {
    kernel: Vec<f64>,
    row: Vec<f64>,
    /// Rows filtered horizontally.
    tmp: Vec<f64>,
}

impl Separable {
    /// A Gaussian of `size` × `size` (odd), normalised to sum 1.
    pub fn gaussian(size: usize, sigma: f64) -> Self {
        let half = (size / 2) as f64;
        let values = (0..size).map(|i| (-(i as f64 - half).powi(2) / (2.0 * sigma * sigma)).exp()).collect::<Vec<_>>();
        let sum: f64 = values.iter().sum();
        Self::new(values.into_iter().map(|v| v / sum).collect())
    }

    /// A window of ones, so that whole numbers stay whole.
    pub fn ones(size: usize) -> Self {
        Self::new(vec![1.0; size])
    }

    fn new(kernel: Vec<f64>) -> Self {
        Self { kernel, row: vec![], tmp: vec![] }
    }

    /// The same values with other weights: the kernel times `factor` in each direction.
    pub fn scaled(mut self, factor: f64) -> Self {
        self.kernel.iter_mut().for_each(|weight| *weight *= factor);
        self
    }

    /// Filters the image whose value at index `i` is `source(i)`, and keeps every `step`-th position in both directions, from the
    /// first. Returns the size of `out`; 0 by 0 when the window does not fit.
    pub fn apply(&mut self, size: Size, step: usize, source: impl Fn(usize) -> f64, out: &mut Vec<f64>) -> Size {
        out.clear();
        let (h, w, n) = (size.height, size.width, self.kernel.len());
        if h < n || w < n {
            return Size::new(0, 0);
        }
        let (out_h, out_w) = ((h - n) / step + 1, (w - n) / step + 1);
        self.tmp.clear();
        self.tmp.resize(h * out_w, 0.0);
        self.row.resize(w, 0.0);
        for (y, to) in self.tmp.chunks_exact_mut(out_w).enumerate() {
            for (x, value) in self.row[..w].iter_mut().enumerate() {
                *value = source(y * w + x);
            }
            accumulate(&self.kernel, to, |t, to, weight, mirror| {
                let (a, b) = (&self.row[t..], &self.row[mirror..]);
                if step == 1 {
                    add_pair(to, a, b, weight, t == mirror);
                } else {
                    for (x, to) in to.iter_mut().enumerate() {
                        let other = if t == mirror { 0.0 } else { b[x * step] };
                        *to += weight * (a[x * step] + other);
                    }
                }
            });
        }
        out.resize(out_h * out_w, 0.0);
        let tmp = &self.tmp;
        for (y, to) in out.chunks_exact_mut(out_w).enumerate() {
            accumulate(&self.kernel, to, |t, to, weight, mirror| {
                let (a, b) = (&tmp[(y * step + t) * out_w..], &tmp[(y * step + mirror) * out_w..]);
                add_pair(to, a, b, weight, t == mirror);
            });
        }
        Size::new(out_w, out_h)
    }
}

/// Calls `add` for the first half of the kernel and its middle with the index, its mirror and the weight: a symmetric
/// window needs half the multiplications.
fn accumulate(kernel: &[f64], to: &mut [f64], mut add: impl FnMut(usize, &mut [f64], f64, usize)) {
    for (t, &weight) in kernel.iter().enumerate().take(kernel.len() / 2 + 1) {
        add(t, to, weight, kernel.len() - 1 - t);
    }
}

fn add_pair(to: &mut [f64], a: &[f64], b: &[f64], weight: f64, middle: bool) {
    if middle {
        for (to, a) in to.iter_mut().zip(a) {
            *to += weight * a;
        }
    } else {
        for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
            *to += weight * (a + b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_direct_sum() {
        let (h, w) = (9, 8);
        let image: Vec<f64> = (0..h * w).map(|i| ((i * i * 7 + 3) % 31) as f64).collect();
        for step in [1, 2] {
            let mut filter = Separable::gaussian(5, 1.0);
            let kernel = filter.kernel.clone();
            let mut out = vec![];
            let found = filter.apply(Size::new(w, h), step, |i| image[i], &mut out);
            let (oh, ow) = ((h - 5) / step + 1, (w - 5) / step + 1);
            assert_eq!(found, Size::new(ow, oh));
            for y in 0..oh {
                for x in 0..ow {
                    let mut direct = 0.0;
                    for (j, kj) in kernel.iter().enumerate() {
                        for (i, ki) in kernel.iter().enumerate() {
                            direct += kj * ki * image[(y * step + j) * w + x * step + i];
                        }
                    }
                    assert!((direct - out[y * ow + x]).abs() < 1e-12);
                }
            }
        }
        assert_eq!(Separable::ones(11).apply(Size::new(20, 10), 1, |_| 0.0, &mut vec![]), Size::new(0, 0));
    }
}
